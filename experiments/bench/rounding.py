"""What the encoder's rounding gains: BD-rate of rate weights against the first.

    python experiments/bench/rounding.py --images PHOTOS [--weights 0 0.04]

Codes every image at every level with each weight (`ModelConfig.rate_weight`)
from one analysis, and compares the means by PSNR, through real files.
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
  parser.add_argument("--weights", type=float, nargs="+",
                      default=[0, 0.02, 0.04, 0.06])  # fmt: skip
  args = parser.parse_args()
  model = find_model(args.model)
  codecs = {
    weight: Codec(model, rate_weight=weight) for weight in args.weights
  }
  print_encoders("weight", codecs, find_images(args.images))


if __name__ == "__main__":
  main()
