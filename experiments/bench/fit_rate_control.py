"""The typical curves of codec/rate_control.py, measured on photographs.

    python experiments/bench/fit_rate_control.py --images PHOTOS [--limit 150]

Codes the photographs at every level with the default model. Writes mean and
covariance of (log bpp at two levels, PSNR at all levels) where rate control
reads them, and prints the typical growth of the logarithm of the size.
Give training photographs; an evaluation set must not decide constants.
"""

from __future__ import annotations

import argparse

import numpy as np
import tqdm

from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.images import find_images, load_image
from sclc_jax.codec.rate_control import SIZED, TYPICAL
from sclc_jax.metrics import psnr_db


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--images", required=True)
  parser.add_argument("--model")
  parser.add_argument("--limit", type=int, default=150)
  parser.add_argument("--output", default=str(TYPICAL))
  args = parser.parse_args()
  codec = load_codec(args.model)
  levels = range(1, codec.model.top_quality + 1)
  paths = find_images(args.images)
  chosen = paths[:: max(1, len(paths) // args.limit)][: args.limit]
  log_bpp, psnr = [], []
  for path in tqdm.tqdm(chosen):
    image = load_image(path)
    analysis = codec.analyse(image)
    sizes = [len(codec.encode(analysis, level)) for level in levels]
    log_bpp.append(np.log(8 * np.array(sizes) / image[..., 0].size))
    psnr.append(
      [psnr_db(image, codec.reconstruct(analysis, level)) for level in levels]
    )
  log_bpp = np.array(log_bpp)
  growth = np.median(log_bpp - log_bpp[:, :1], 0)
  print("_LOG_SIZE", np.round(growth, 2).tolist())
  sized = [round(place * (len(levels) - 1)) for place in SIZED]
  rows = np.column_stack([log_bpp[:, sized], psnr])
  np.savez(
    args.output,
    fingerprint=np.frombuffer(codec.model.fingerprint, np.uint8),
    mean=rows.mean(0),
    covariance=np.cov(rows.T),
  )


if __name__ == "__main__":
  main()
