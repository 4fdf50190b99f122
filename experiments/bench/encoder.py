"""What the encoder's choices gain: BD-rate of settings against the first.

    python experiments/bench/encoder.py --images PHOTOS --efforts 0 1 4
    python experiments/bench/encoder.py --images PHOTOS --weights 0 0.04

Codes every image at every level, with each `--effort` of `sclc compress` or
with each rate weight of RDOQ (`ModelConfig.rate_weight`), and compares the
means by PSNR, through real files. Times are those of encoding one image,
without its analysis.
"""

from __future__ import annotations

from common import argument_parser, print_encoders

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.images import find_images


def main() -> None:
  parser = argument_parser(__doc__, "--images", "--model", "--crop")
  settings = parser.add_mutually_exclusive_group(required=True)
  settings.add_argument(
    "--efforts",
    type=int,
    nargs="+",
    metavar="N",
    help="passes of the search, such as 0 1 2 4 8",
  )
  settings.add_argument(
    "--weights",
    type=float,
    nargs="+",
    metavar="W",
    help="rate weights, such as 0 0.02 0.04 0.06",
  )
  args = parser.parse_args()
  model, paths = find_model(args.model), find_images(args.images)
  if args.efforts:
    codecs = {effort: Codec(model, effort=effort) for effort in args.efforts}
    print_encoders("effort", codecs, paths, args.crop)
  else:
    codecs = {w: Codec(model, rate_weight=w) for w in args.weights}
    print_encoders("weight", codecs, paths, args.crop)


if __name__ == "__main__":
  main()
