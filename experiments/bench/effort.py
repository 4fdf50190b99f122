"""What the encoder's search gains: BD-rate of efforts against the first.

    python experiments/bench/effort.py --images PHOTOS [--efforts 0 1 4]

Codes every image at every level with each `--effort` of `sclc compress`, and
compares the means by PSNR, through real files; times are those of encoding one
image, without its analysis. `--crop` takes the middle of each image.
"""

from __future__ import annotations

import argparse

from common import print_encoders

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.images import find_images


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--images", required=True)
  parser.add_argument("--model")
  parser.add_argument("--efforts", type=int, nargs="+",
                      default=[0, 1, 2, 4, 8])  # fmt: skip
  parser.add_argument("--crop", type=int, help="side, pixels")
  args = parser.parse_args()
  model = find_model(args.model)
  codecs = {effort: Codec(model, effort=effort) for effort in args.efforts}
  print_encoders("effort", codecs, find_images(args.images), args.crop)


if __name__ == "__main__":
  main()
