"""What selection saves, and what the encoder's rounding saves without it.

    python experiments/bench/selection.py --images PHOTOS --fit OTHERS

Gives the model selectors that leave out what rounds to another number than zero
with a probability below each of `--improbable`, 0 being no selector at all,
fitted to other photographs; codes every image at every level with each, once
rounding to the nearest (the paper's encoder) and once as the model does
(`ModelConfig.rate_weight`), and compares the means by PSNR, through real files.
"""

from __future__ import annotations

from common import argument_parser, print_encoders

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.commands.export import photos_to_fit
from sclc_jax.export.freeze import with_selector
from sclc_jax.export.selector_fit import fit_selector
from sclc_jax.images import find_images


def main() -> None:
  parser = argument_parser(__doc__, "--images", "--model", "--crop")
  parser.add_argument("--fit", required=True, help="photographs to fit to")
  parser.add_argument(
    "--improbable",
    type=float,
    nargs="+",
    default=[0, 1e-4, 1e-3, 1e-2, 3e-2, 0.1],
    help="probabilities; 0: no selector",
  )
  parser.set_defaults(command="selection", quiet=False, failures=0)
  args = parser.parse_args()
  model = find_model(args.model)
  photos = list(photos_to_fit(args, "--fit", args.fit))
  models = {0: with_selector(model, None)}
  for improbable in args.improbable:
    if improbable:
      models[improbable] = fit_selector(model, photos, improbable)
  paths = find_images(args.images)
  weights = 0.0, model.config.rate_weight
  for weight in weights:
    print(f"rate weight {weight:g}")
    codecs = {
      improbable: Codec(curves, rate_weight=weight)
      for improbable, curves in models.items()
    }
    print_encoders("improbable", codecs, paths, args.crop)
  print("without a selector")
  codecs = {w: Codec(models[0], rate_weight=w) for w in weights}
  print_encoders("rate weight", codecs, paths, args.crop)


if __name__ == "__main__":
  main()
