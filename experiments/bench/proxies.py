"""What training takes for rate and distortion, against what is coded.

    python experiments/bench/proxies.py --images PHOTOS [--model M]

On the middle 256x256 pixels of each photograph, level by level: bpp and mean
squared error with noise or with rounding (`config.StageConfig.rounding`),
under the masks of inference. `coded` is what a file would hold. An element
that rounds to 0 is nearly free there, while noise makes it cost a part of a
bit: what noise charges on top is what training learns to avoid.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from sclc_jax.codec.model.model_file import find_model
from sclc_jax.images import find_images, load_image
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.train.loss import rate_distortion

_SIDE = 256
_ROUNDING = ("noise", "mixed", "coded")


def _middle(image: np.ndarray) -> np.ndarray:
  top, left = ((n - _SIDE) // 2 for n in image.shape[:2])
  return image[top : top + _SIDE, left : left + _SIDE]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--images", required=True)
  parser.add_argument("--model")
  args = parser.parse_args()
  model = find_model(args.model)
  count = model.config.levels
  images = [load_image(path) for path in find_images(args.images)]
  crops = [
    _middle(image)
    for image in images
    if image.ndim == 3 and min(image.shape[:2]) >= _SIDE
  ]
  levels = jnp.arange(count)[:, None]
  found = {}
  for rounding in _ROUNDING:
    module = VariableRate(model.config, rounding, "inference")

    @jax.jit
    def measure(crop, key, module=module):
      _, sums = rate_distortion(
        module, model.params, crop[None], levels, key[None],
        *jnp.ones((2, count)),
      )  # fmt: skip
      return sums["bpp"], sums["mse"]

    keys = jax.random.split(jax.random.key(0), len(crops))
    bar = tqdm.tqdm(zip(crops, keys), rounding, len(crops), leave=False)
    found[rounding] = np.mean([measure(*example) for example in bar], 0)
  heads = [f"{kind}_{name}" for kind in ("bpp", "mse") for name in _ROUNDING]
  print("level", *(f"{head:>12s}" for head in heads))
  for level in range(count):
    bpp, mse = ([found[r][kind][level] for r in _ROUNDING] for kind in (0, 1))
    print(
      f"{level + 1:5d}", *(f"{v:12.4f}" for v in bpp),
      *(f"{v:12.2f}" for v in mse),
    )  # fmt: skip


if __name__ == "__main__":
  main()
