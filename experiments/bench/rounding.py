"""What the encoder's rounding gains: BD-rate of rate weights against the first.

    python experiments/bench/rounding.py --images PHOTOS [--weights 0 0.04]

Codes every image at every level with each weight (`ModelConfig.rate_weight`)
from one analysis, and compares the means by PSNR, through real files.
"""

from __future__ import annotations

import argparse

import numpy as np
import tqdm

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.images import find_images, load_image
from sclc_jax.codec.model_file import find_model
from sclc_jax.metrics import bd_rate, psnr_db


def _point(codec: Codec, image, analysis, level) -> tuple[float, float]:
  """(bpp, PSNR in dB) of an image at a level."""
  pixels = image.shape[0] * image.shape[1]
  bpp = 8 * len(codec.encode(analysis, level)) / pixels
  return bpp, psnr_db(image, codec.reconstruct(analysis, level))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--images", required=True)
  parser.add_argument("--model")
  parser.add_argument("--weights", type=float, nargs="+",
                      default=[0, 0.02, 0.04, 0.06])  # fmt: skip
  args = parser.parse_args()
  model = find_model(args.model)
  codecs = [Codec(model, rate_weight=weight) for weight in args.weights]
  levels = range(1, model.top_quality + 1)
  points = []  # [images, weights, levels, (bpp, dB)]
  for path in tqdm.tqdm(find_images(args.images)):
    image = load_image(path)
    analysis = codecs[0].analyse(image)
    points.append(
      [[_point(c, image, analysis, level) for level in levels] for c in codecs]
    )
  curves = np.mean(points, 0)
  print("weight  BD-rate_%")
  for weight, curve in zip(args.weights, curves):
    print(f"{weight:<6g}  {bd_rate(*curves[0].T, *curve.T):+9.2f}")


if __name__ == "__main__":
  main()
