"""The typical curves of codec/rate_control.py, measured on photographs.

    python experiments/bench/fit_rate_control.py --images PHOTOS [--limit 16]

Prints, for the default model, the logarithm of the size and the lag of PSNR
behind the latent SNR at each level, medians over the photographs. Give training
photographs; an evaluation set must not decide constants.
"""

from __future__ import annotations

import argparse

import numpy as np
import tqdm

from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.control import STEPS_PER_LEVEL
from sclc_jax.codec.images import find_images, load_image
from sclc_jax.codec.rate_control import _Distortion
from sclc_jax.metrics import psnr_db


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--images", required=True)
  parser.add_argument("--model")
  parser.add_argument("--limit", type=int, default=16)
  args = parser.parse_args()
  codec = load_codec(args.model)
  levels = range(1, codec.model.top_quality + 1)
  paths = find_images(args.images)
  chosen = paths[:: max(1, len(paths) // args.limit)][: args.limit]
  sizes, offsets = [], []
  for path in tqdm.tqdm(chosen):
    image = load_image(path)
    analysis = codec.analyse(image)
    latent = _Distortion(codec, analysis)
    files = [codec.encode(analysis, level) for level in levels]
    sizes.append([np.log(len(data) / len(files[0])) for data in files])
    offsets.append(
      [
        psnr_db(image, codec.decompress(data))
        - latent.latent_db((level - 1) * STEPS_PER_LEVEL)
        for level, data in zip(levels, files)
      ]
    )
  offsets = np.array(offsets)
  lag = np.median(offsets[:, :1] - offsets, 0)
  print("_LOG_SIZE", np.round(np.median(sizes, 0), 2).tolist())
  print("_LATENT_DB", round(float(np.median(offsets[:, 0])), 1))
  print("_LAG_DB", np.round(np.maximum(lag, 0), 1).tolist())


if __name__ == "__main__":
  main()
