"""Reconstructions and masks of a few crops, to look at while a model trains."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from sclc_jax.config import ModelConfig
from sclc_jax.models.selective import select
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn.pixels import from_pixels, to_pixels

_COUNT = 3  # crops
_SIDE = 256  # at most, pixels
_GRID = 64  # sides are multiples of it: those of z
_POSITION = 16  # pixels a side that a position of y stands for


class View(NamedTuple):
  """One level's pictures of all crops, side by side.

  Attributes:
    level: from 1.
    reconstruction: uint8 [H, W, 3].
    mask: uint8 [H, W], how many of a position's elements are written, white
      where all are; None without a selector.
  """

  level: int
  reconstruction: np.ndarray
  mask: np.ndarray | None


def middle_crops(images: Iterable[np.ndarray]) -> np.ndarray | None:
  """The middles of the first images that are large enough.

  Args:
    images: uint8 [H, W, 3] or [H, W] each.

  Returns:
    uint8 [n, side, side, 3], side a multiple of 64; None if there are none.
  """
  chosen = []
  for image in images:
    if min(image.shape[:2]) >= _GRID:
      rgb = image if image.ndim == 3 else np.stack([image] * 3, -1)
      chosen.append(rgb)
    if len(chosen) == _COUNT:
      break
  if not chosen:
    return None
  side = min(_SIDE, *(min(image.shape[:2]) for image in chosen))
  side -= side % _GRID
  crops = []
  for image in chosen:
    top, left = ((n - side) // 2 for n in image.shape[:2])
    crops.append(image[top : top + side, left : left + side, :3])
  return np.stack(crops)


class Pictures:
  """Shows what a model makes of fixed crops.

  Attributes:
    crops: uint8 [n, side, side, 3]; read when they are first asked for. None
      where there is no image.
  """

  def __init__(self, images: Callable[[], Iterable[np.ndarray]]):
    """Takes what gives the images, the best ones to look at first."""
    self._images = images

  @functools.cached_property
  def crops(self) -> np.ndarray | None:
    return middle_crops(self._images())

  def views(self, config: ModelConfig, params: Any) -> list[View]:
    """The crops at the lowest, a middle and the top level."""
    if self.crops is None:
      return []
    levels = {config.levels}
    if config.adaptive:
      levels |= {1, (config.levels + 1) // 2}
    show = _view(config)
    views = []
    for level in sorted(levels):
      x_hat, mask = show(params, self.crops, level - 1)
      pixels = np.clip(np.round(x_hat), 0, 255).astype(np.uint8)
      if mask is not None:
        mask = side_by_side(np.round(255 * np.asarray(mask)).astype(np.uint8))
        mask = mask.repeat(_POSITION, 0).repeat(_POSITION, 1)
      views.append(View(level, side_by_side(pixels), mask))
    return views


def side_by_side(images: np.ndarray) -> np.ndarray:
  """[n, H, W, ...] to [H, n W, ...]."""
  return np.concatenate(list(images), axis=1)


@functools.lru_cache(maxsize=4)
def _view(config: ModelConfig) -> Callable:
  """(params, uint8 images, level from 0) to (pixels, mask [n, h, w] or None).

  As they are coded: latents are rounded and the mask is that of inference. The
  context of a context model alone is that of training, with fixed noise.
  """
  model = VariableRate(config, "coded", "inference")

  def reconstruct(model: VariableRate, x, levels, keys):
    _, shared = model.shared(x, keys)
    y_hat = model.level(shared, levels, keys, 0).y_hat
    x_hat = model.synthesis(y_hat, levels[:, None, None])
    if shared.importance is None:
      return x_hat, None
    gamma = model.curves()[levels][:, None, None]
    return x_hat, select(shared.importance, gamma).mean(-1)

  @jax.jit
  def view(params, images, level):
    x = from_pixels(images.astype(np.float32))
    levels = np.full(len(images), 0, np.int32) + level
    keys = jax.random.split(jax.random.key(0), len(images))
    x_hat, mask = model.apply(
      {"params": params}, x, levels, keys, method=reconstruct
    )
    return to_pixels(x_hat), mask

  return view
