"""Hits a size or a PSNR: one analysis, then a search over the quality.

Log-size is nearly linear in the quality, so a secant search inside a shrinking
bracket ends after a few codings. A PSNR needs a synthesis, which is dear; its
growth follows from the error of y, which is cheap, so that one synthesis is
usually enough.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping

import numpy as np

from sclc_jax.codec.codec import Analysis, Codec, without_alpha
from sclc_jax.codec.control import STEPS_PER_LEVEL
from sclc_jax.metrics import psnr_db

MAX_TRIALS = 6
TOLERANCE = 0.01
_DB_TOLERANCE = 0.05
_TRUSTED = 20  # steps from a measured PSNR in which a predicted one will do
_CREDIBLE_DB = 1.5
KINDS = ("bpp", "bytes", "max_bytes", "psnr")
# Logarithm of the size at levels 1, 2, ... of 8 against the first, typically.
_LOG_SIZE = (0.0, 0.41, 0.81, 1.16, 1.47, 1.72, 1.91, 2.1)
# PSNR minus the latent SNR of `_Distortion`: its value at low quality, and how
# far typical photos fall below it at levels 1, 2, ... of 8. How fast PSNR falls
# behind, given how far it is, is much the same for all photos. Measured on
# training photographs with the default model (bench/fit_rate_control.py).
_LATENT_DB = 22.9
_LAG_DB = (0.0, 0.1, 0.1, 0.1, 0.4, 1.0, 1.9, 3.0)
_LAG_SLOPE = 0.2
_SAMPLES = 4096  # positions of y that the latent SNR is taken from


@dataclasses.dataclass(frozen=True)
class Hit:
  """A file near the target: its bytes, quality, value reached, and codings.

  A PSNR may be predicted from that of a nearby quality; see `compress_to`. A
  coding that only gave a PSNR counts too, though no bytes were made of it.
  """

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
      fits), or `psnr` (dB; mostly within 0.1 dB, since the last step is
      predicted where it is less than a third of a level).
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
  colour = without_alpha(image)
  files: dict[int, bytes] = {}

  def measure(step: int) -> float:
    quality = 1 + step / STEPS_PER_LEVEL
    if kind == "psnr":
      return psnr_db(colour, codec.reconstruct(analysis, quality))
    files[step] = codec.encode(analysis, quality)
    return 8 * len(files[step]) / pixels if kind == "bpp" else len(files[step])

  last = STEPS_PER_LEVEL * (codec.model.top_quality - 1)
  if kind == "psnr":
    values = _search_psnr(measure, _Distortion(codec, analysis), target, last)
  else:
    values = _search(measure, kind, target, last)
  fits = values
  if kind == "max_bytes":
    fits = {step: value for step, value in values.items() if value <= target}
  best = min(fits, key=lambda s: abs(fits[s] - target), default=None)
  reached = best is not None and (
    kind == "max_bytes" or _near(kind, fits[best], target)
  )
  for end, word, beyond in ((0, "lowest", "below"), (last, "highest", "above")):
    short = end in values and (
      target < values[end] if end == 0 else target > values[end]
    )
    if short and not reached:
      raise ValueError(
        f"with this image the model reaches {values[end]:.6g} {_UNITS[kind]} "
        f"at quality {1 + end / STEPS_PER_LEVEL:g}, its {word}; the target "
        f"{target:g} lies {beyond} that."
      )
  quality = 1 + best / STEPS_PER_LEVEL
  if best not in files:
    files[best] = codec.encode(analysis, quality)
  return Hit(files[best], quality, values[best], len(values))


_UNITS = {"bpp": "bpp", "bytes": "bytes", "max_bytes": "bytes", "psnr": "dB"}


def _near(kind: str, value: float, target: float) -> bool:
  if kind == "psnr":
    return abs(value - target) <= _DB_TOLERANCE
  return abs(value / target - 1) <= TOLERANCE


def _search(
  measure: Callable[[int], float], kind: str, target: float, last: int
) -> dict[int, float]:
  """Sizes by step, of at most MAX_TRIALS steps in [0, last]."""
  levels = np.linspace(0, last, len(_LOG_SIZE))

  def typical(step: int) -> float:
    return float(np.interp(step, levels, _LOG_SIZE))

  aim = math.log(target)
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
    if math.log(value) < aim:
      low = step
    else:
      high = step
    if high - low <= 1:
      break
    # Secant on the typical curve, through the two nearest.
    near = sorted(values, key=lambda s: abs(math.log(values[s]) - aim))
    slope = 1.0
    if len(near) > 1:
      rise = math.log(values[near[0]] / values[near[1]])
      slope = max(rise / (typical(near[0]) - typical(near[1])), 0.1)
    guess = typical(near[0]) + (aim - math.log(values[near[0]])) / slope
    guess = round(float(np.interp(guess, _LOG_SIZE, levels)))
    step = min(max(guess, low + 1, 0), high - 1, last)
  return values


class _Distortion:
  """PSNR by quality, from the error of a sample of y and few measurements."""

  def __init__(self, codec: Codec, analysis: Analysis):
    rows, columns, channels = analysis.y.shape
    every = max(1, math.isqrt(rows * columns // _SAMPLES))
    sample = np.s_[::every, ::every]
    self._model = codec.model
    self._y = analysis.y[sample]
    self._importance = None
    if analysis.importance is not None:
      self._importance = analysis.importance[sample]
    self._pixels = 3 * 256 * self._y.size / channels
    self._known: dict[int, float] = {}

  def latent_db(self, step: int) -> float:
    """SNR of y, in units of the finest step, against the pixels' number."""
    if step not in self._known:
      qv, iqv = self._model.steps[:, step]
      mask = self._model.control.mask(self._importance, step, self._y.shape)
      error = self._y - np.where(mask, np.round(self._y / qv) * iqv, 0)
      error /= self._model.steps[0, -1]
      mean = float(np.vdot(error, error)) / self._pixels
      self._known[step] = -10 * math.log10(mean + 1e-9)
    return self._known[step]

  def typical(self, step: int) -> float:
    """PSNR of a typical photo, dB."""
    return self.latent_db(step) + _LATENT_DB - self._typical_lag(step)

  def predict(self, step: int, known: int, psnr: float) -> float:
    """PSNR at a step, from that at a known one, dB."""
    start, end = self.latent_db(known), self.latent_db(step)
    offset = _LATENT_DB
    if not self.is_credible(known, psnr):
      offset = psnr - start + self._typical_lag(known)
    pieces = 16
    for i in range(pieces):
      latent = start + (end - start) * i / pieces
      lag = max(latent + offset - psnr, 0)
      psnr += 10 ** (-_LAG_SLOPE * lag) * (end - start) / pieces
    return psnr

  def between(self, step: int, low: int, high: int, values) -> float:
    """PSNR at a step between two known ones, linear in the latent SNR."""
    ends = [self.latent_db(known) for known in (low, high)]
    psnr = [values[low], values[high]]
    return float(np.interp(self.latent_db(step), ends, psnr))

  def is_credible(self, known: int, psnr: float) -> bool:
    """Whether the constants above suit this model and photo."""
    return abs(psnr - self.typical(known)) <= _CREDIBLE_DB

  def is_trusted(self, step: int, known: int, psnr: float) -> bool:
    """Whether a prediction from a known PSNR will do.

    What is not selected counts as 0 here: wrong for models with a mean.
    """
    return (
      abs(step - known) <= _TRUSTED
      and self.is_credible(known, psnr)
      and not self._model.control.signed
    )

  def _typical_lag(self, step: int) -> float:
    levels = np.linspace(0, 1, len(_LAG_DB))
    place = step / (STEPS_PER_LEVEL * (self._model.top_quality - 1))
    return float(np.interp(place, levels, _LAG_DB))


def _search_psnr(
  measure: Callable[[int], float],
  distortion: _Distortion,
  target: float,
  last: int,
) -> dict[int, float]:
  """PSNR by step in [0, last]; only the last may be predicted, if trusted."""

  def solve(curve: Callable[[int], float], low: int, high: int) -> int:
    while high - low > 1:
      middle = (low + high) // 2
      if curve(middle) < target:
        low = middle
      else:
        high = middle
    return min((low, high), key=lambda s: abs(curve(s) - target))

  values: dict[int, float] = {}
  low, high = -1, last + 1  # measured steps below and above, or none yet
  step = solve(distortion.typical, 0, last)
  while len(values) < MAX_TRIALS:
    values[step] = value = measure(step)
    if _near("psnr", value, target):
      break
    low, high = (step, high) if value < target else (low, step)
    if high - low <= 1:
      break
    known = step
    if low in values and high in values:
      curve = functools.partial(
        distortion.between, low=low, high=high, values=dict(values)
      )
    else:
      curve = functools.partial(distortion.predict, known=known, psnr=value)
    step = solve(curve, max(low + 1, 0), min(high - 1, last))
    if 0 < step < last and distortion.is_trusted(step, known, value):
      values[step] = curve(step)
      break
  return values
