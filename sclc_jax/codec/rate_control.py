"""Hits a size or a PSNR: one analysis, then a search over the quality.

Log-size and PSNR are nearly linear in the quality, so a secant search inside a
shrinking bracket ends after a few codings.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.control import STEPS_PER_LEVEL
from sclc_jax.metrics import psnr_db

MAX_TRIALS = 6
TOLERANCE = 0.01
_DB_TOLERANCE = 0.05
KINDS = ("bpp", "bytes", "max_bytes", "psnr")
# Where the search starts: typical growth of log-size, and of dB, a level.
_LOG_SLOPE = 0.31
_DB_SLOPE = 1.5


@dataclasses.dataclass(frozen=True)
class Hit:
  """A file near the target: its bytes, quality, value reached, and codings."""

  data: bytes
  quality: float
  value: float
  trials: int


def compress_to(
  codec: Codec,
  image: np.ndarray,
  kind: str,
  target: float,
  metadata: Mapping[str, bytes] | None = None,
) -> Hit:
  """Codes an image at the quality that comes nearest to a target.

  Args:
    codec: of any model.
    image: uint8 [H, W, 3] or [H, W]; with alpha [H, W, 4] or [H, W, 2].
    kind: `bpp` or `bytes` (within 1 %), `max_bytes` (the best quality that
      fits), or `psnr` (dB, within 0.05 dB).
    target: positive; a size includes alpha and metadata, a PSNR neither.
    metadata: see `Codec.compress`.

  Returns:
    The nearest of at most 6 codings.

  Raises:
    ValueError: the model cannot reach the target with this image; the message
      says what it reaches.
  """
  if kind not in KINDS:
    raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
  if not (math.isfinite(target) and target > 0):
    raise ValueError(f"the target {kind} must be positive, got {target}.")
  analysis = codec.analyse(image, metadata)
  pixels = image.shape[0] * image.shape[1]
  files: dict[int, bytes] = {}

  def measure(step: int) -> float:
    files[step] = codec.encode(analysis, 1 + step / STEPS_PER_LEVEL)
    if kind == "psnr":
      return psnr_db(_colour(image), _colour(codec.decompress(files[step])))
    return 8 * len(files[step]) / pixels if kind == "bpp" else len(files[step])

  last = STEPS_PER_LEVEL * (codec.model.top_quality - 1)
  values = _search(measure, kind, target, last)
  fits = values
  if kind == "max_bytes":
    fits = {step: value for step, value in values.items() if value <= target}
  best = min(fits, key=lambda s: abs(fits[s] - target), default=None)
  reached = best is not None and (
    kind == "max_bytes" or _near(kind, fits[best], target)
  )
  ends = {0, last} & set(values)
  if not reached and ends:
    end = ends.pop()
    raise ValueError(
      f"with this image the model reaches {values[end]:.6g} {_UNITS[kind]} at "
      f"quality {1 + end / STEPS_PER_LEVEL:g}, its "
      f"{'lowest' if end == 0 else 'highest'}; the target {target:g} lies "
      f"{'below' if target < values[end] else 'above'} that."
    )
  return Hit(files[best], 1 + best / STEPS_PER_LEVEL, values[best], len(values))


def _colour(image: np.ndarray) -> np.ndarray:
  """Without alpha."""
  if image.ndim == 2 or image.shape[2] == 3:
    return image
  return image[..., :-1]


_UNITS = {"bpp": "bpp", "bytes": "bytes", "max_bytes": "bytes", "psnr": "dB"}


def _near(kind: str, value: float, target: float) -> bool:
  if kind == "psnr":
    return abs(value - target) <= _DB_TOLERANCE
  return abs(value / target - 1) <= TOLERANCE


def _search(
  measure: Callable[[int], float], kind: str, target: float, last: int
) -> dict[int, float]:
  """Values by step, of at most MAX_TRIALS steps in [0, last]."""

  def shape(value: float) -> float:  # nearly linear in the step
    return value if kind == "psnr" else math.log(value)

  slope = (_DB_SLOPE if kind == "psnr" else _LOG_SLOPE) / STEPS_PER_LEVEL
  aim = shape(target)
  if kind == "max_bytes":
    aim += math.log(1 - TOLERANCE / 2)  # land below, not around
  values: dict[int, float] = {}
  low, high = -1, last + 1  # steps known to lie below and above the aim
  step = last // 2
  while len(values) < MAX_TRIALS:
    values[step] = value = measure(step)
    fits = kind != "max_bytes" or value <= target
    if fits and _near(kind, value, target):
      break
    if shape(value) < aim:
      low = step
    else:
      high = step
    if high - low <= 1:
      break
    if low in values and high in values:
      rise = shape(values[high]) - shape(values[low])
      if rise > 0:
        slope = rise / (high - low)
    guess = step + (aim - shape(value)) / slope
    step = round(min(max(guess, low + 1, 0), high - 1, last))
  return values
