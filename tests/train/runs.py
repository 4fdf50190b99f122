"""What runs of a few steps train on."""

from collections.abc import Iterator

import numpy as np
import skimage.data

from sclc_jax.train.data import make_batches


def batches(step: int) -> Iterator[np.ndarray]:
  """uint8 [2, 64, 64, 3] crops of a photograph and of its mirror image."""
  image = skimage.data.astronaut()[:128, :128]
  return make_batches(
    [image, image[::-1]], crop_size=64, batch_size=2, seed=0, start_step=step
  )
