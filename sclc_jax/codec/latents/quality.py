"""From the quality that a user names to the quality steps of a file."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sclc_jax.codec.exact.control import Q_PER_LEVEL
from sclc_jax.codec.latents import quality_map
from sclc_jax.codec.latents.quality_map import QualityMap


@dataclasses.dataclass(frozen=True)
class Quality:
  """The quality of a file.

  Attributes:
    high: the quality step, the highest where there are several.
    map: of the quality steps, where there are several.
  """

  high: int
  map: QualityMap | None = None

  @property
  def q(self) -> int | np.ndarray:
    """The quality step, or that of each position of y, int32 [h, w]."""
    return self.high if self.map is None else self.map.q()


def to_q(quality: float, top: int) -> int:
  """Quality in [1, top] to 64ths of a level above 1."""
  if not (math.isfinite(quality) and 1 <= quality <= top):
    raise ValueError(
      f"quality must lie in [1, {top}], got {quality}; 1 gives the "
      f"smallest file, {top} the best picture."
    )
  return round((quality - 1) * Q_PER_LEVEL)


def check_quality(quality: float | np.ndarray, top: int) -> None:
  """Raises a ValueError unless it is a number or an array in [1, top]."""
  if np.ndim(quality) not in (0, 2) or not np.size(quality):
    raise ValueError(
      "quality is a number or an array [h, w] of numbers, got shape "
      f"{list(np.shape(quality))}."
    )
  for value in (np.min(quality), np.max(quality)):
    to_q(float(value), top)


def read_quality(
  quality: float | np.ndarray, top: int, height: int, width: int
) -> Quality:
  """The quality of a file of an image.

  Args:
    quality: see `Codec.compress`.
    top: the highest quality.
    height: of the image, pixels.
    width: of the image, pixels.
  """
  check_quality(quality, top)
  if np.ndim(quality) == 0:
    return Quality(to_q(float(quality), top))
  squares = quality_map.resample(np.asarray(quality), height, width)
  squares = np.clip(squares, 1, top)
  low, high = (to_q(float(f(squares)), top) for f in (np.min, np.max))
  if low == high:
    return Quality(high)
  share = ((squares - 1) * Q_PER_LEVEL - low) / (high - low)
  values = np.clip(np.round(share * quality_map.TOP), 0, quality_map.TOP)
  return Quality(high, QualityMap(values.astype(np.int32), low, high))
