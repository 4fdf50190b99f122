"""Hits a size or a PSNR: one analysis, then a search over the quality.

Log-size is nearly linear in the quality, so a secant search inside a shrinking
bracket ends after a few codings. Measuring a PSNR needs a synthesis, which
costs as much as the analysis. So the PSNR at other qualities is predicted, with
a known error, and one synthesis is usually enough.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sclc_jax.codec.exact.control import Q_PER_LEVEL
from sclc_jax.codec.latents.analysis import Analysis
from sclc_jax.codec.pixels.picture import without_alpha
from sclc_jax.metrics import psnr_db, psnr_of_mse

MAX_TRIALS = 6
TOLERANCE = 0.01
_NOISE = 1e-3  # variance of a measured value about the levels' interpolation
_TRUSTED_DB = 0.2  # standard deviation at which a predicted PSNR will do
KINDS = ("bpp", "bytes", "max_bytes", "psnr", "ssimulacra2")
_PICTURE = {"psnr": 0.05, "ssimulacra2": 0.25}  # kinds that need the picture
# Measured on training photographs with the default model, whose fingerprint it
# holds (experiments/bench/fit_rate_control.py). `log_size`: logarithm of the
# size at levels 1, 2, ... against the first, typically. `mean` and `covariance`
# over photographs, at the places PROBED between lowest and highest quality, of
# log of bpp, then PSNR as guessed from y_hat; then of PSNR at all levels.
# `weights`: of that guess.
TYPICAL = pathlib.Path(__file__).with_name("typical_curves.npz")
PROBED = (2 / 7, 6 / 7)


@dataclasses.dataclass(frozen=True)
class Hit:
  """A file near the target: its bytes, quality, value reached, and trials.

  A trial is a coding; of a PSNR, a synthesis or a refinement, or its prediction
  (see `compress_to`), and the two codings that are probed first do not count.
  """

  data: bytes
  quality: float
  value: float
  trials: int


def read_target(target: Mapping[str, float]) -> tuple[str, float]:
  """The kind and the value of a target that a keyword gives.

  Args:
    target: a single one of `target_bpp`, `target_bytes`, `max_bytes` and
      `target_psnr`.
  """
  kinds = {name_of(kind): kind for kind in KINDS if kind != "ssimulacra2"}
  if len(target) != 1 or not target.keys() <= kinds.keys():
    raise ValueError(
      f"give one of {', '.join(kinds)}, got {', '.join(target)}."
    )
  ((name, value),) = target.items()
  return kinds[name], value


def name_of(kind: str) -> str:
  """How arguments name a kind of target: `max_bytes`, `target_psnr`."""
  return kind if kind.startswith("max") else f"target_{kind}"


def compress_to(
  codec: Any,
  image: np.ndarray,
  kind: str,
  target: float,
  metadata: Mapping[str, bytes] | None = None,
  score: Callable[[np.ndarray, np.ndarray], float] | None = None,
) -> Hit:
  """Codes an image at the quality that comes nearest to a target.

  Args:
    codec: a `Codec` of any model.
    image: uint8 [H, W, 3] or [H, W]; with alpha [H, W, 4] or [H, W, 2].
    kind: `bpp` or `bytes` (within 1 %), `max_bytes` (the best quality that
      fits), `psnr` (dB; mostly within 0.1 dB, since the last step is predicted
      where that is sure enough), or `ssimulacra2` (within 0.25).
    target: positive, but for SSIMULACRA2; a size includes alpha and metadata,
      the others neither. They are over the pixels that are visible: those of
      any alpha above 0 count in full, those of alpha 0 not at all.
    metadata: see `Codec.compress`.
    score: measures SSIMULACRA2 of a picture and its reconstruction, both uint8
      [H, W, 3] or [H, W]; needed for that kind alone.

  Returns:
    The nearest of at most 6 trials.

  Raises:
    ValueError: the model cannot reach the target with this image; the message
      says what it reaches.
  """
  _check_target(kind, target, image.shape)
  analysis = codec.analyse(image, metadata)
  pixels = image.shape[0] * image.shape[1]
  files: dict[int, bytes] = {}

  def compare(picture: np.ndarray) -> float:
    if kind == "psnr":
      return psnr_db(analysis.image, picture, analysis.visible)
    return _visible_score(analysis, picture, score)

  def measure(q: int) -> float:
    quality = 1 + q / Q_PER_LEVEL
    if kind in _PICTURE and not codec.effort:
      return compare(codec.reconstruct(analysis, quality))
    files[q] = codec.encode(analysis, quality)
    if kind in _PICTURE:  # of the file: a refinement costs more than coding
      return compare(without_alpha(codec.decompress(files[q])))
    return 8 * len(files[q]) / pixels if kind == "bpp" else len(files[q])

  last = Q_PER_LEVEL * (codec.model.top_quality - 1)
  if kind == "psnr":
    values = _search_psnr(measure, _PsnrCurve(codec, analysis), target, last)
  elif kind == "ssimulacra2":
    values = _search_score(measure, target, last)
  else:
    fixed = sum(map(len, analysis.sections.values()))
    if kind == "bpp":
      fixed *= 8 / pixels
    values = _search(measure, kind, target, fixed, last)
  best = _best(kind, values, target, last)
  quality = 1 + best / Q_PER_LEVEL
  if best not in files:
    files[best] = codec.encode(analysis, quality)
  return Hit(files[best], quality, values[best], len(values))


def _check_target(kind: str, target: float, shape: tuple[int, ...]) -> None:
  if kind not in KINDS:
    raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
  if kind == "ssimulacra2":
    if not target <= 100:
      raise ValueError(f"SSIMULACRA2 is at most 100, got {target}.")
    if min(shape[:2]) < 8:
      raise ValueError(
        f"SSIMULACRA2 needs 8 pixels a side, got {shape[1]}x"
        f"{shape[0]}; give --quality instead."
      )
  elif not (math.isfinite(target) and target > 0):
    raise ValueError(f"the target {kind} must be positive, got {target}.")


def _visible_score(
  analysis: Analysis,
  picture: np.ndarray,
  score: Callable[[np.ndarray, np.ndarray], float],
) -> float:
  """A score of a picture without alpha, as if what is hidden were exact."""
  if analysis.visible is not None:
    shown = analysis.visible.reshape(
      analysis.visible.shape + (1,) * (picture.ndim - 2)
    )
    picture = np.where(shown, picture, analysis.image)
  return score(analysis.image, picture)


def _best(kind: str, values: dict[int, float], target: float, last: int) -> int:
  """The quality step whose value is nearest to the target.

  Raises:
    ValueError: the target lies beyond what the model reaches.
  """
  fits = values
  if kind == "max_bytes":
    fits = {q: value for q, value in values.items() if value <= target}
  best = min(fits, key=lambda q: abs(fits[q] - target), default=None)
  if best is not None and (
    kind == "max_bytes" or _near(kind, fits[best], target)
  ):
    return best
  for end, word, beyond in ((0, "lowest", "below"), (last, "highest", "above")):
    if end in values and (
      target < values[end] if end == 0 else target > values[end]
    ):
      raise ValueError(
        f"with this image the model reaches {values[end]:.6g} {_UNITS[kind]} "
        f"at quality {1 + end / Q_PER_LEVEL:g}, its {word}; the target "
        f"{target:g} lies {beyond} that."
      )
  return best


_UNITS = {"bpp": "bpp", "bytes": "bytes", "max_bytes": "bytes", "psnr": "dB",
          "ssimulacra2": "SSIMULACRA2"}  # fmt: skip


def _typical() -> dict[str, np.ndarray]:
  with np.load(TYPICAL) as arrays:
    return dict(arrays)


def _near(kind: str, value: float, target: float) -> bool:
  if kind in _PICTURE:
    return abs(value - target) <= _PICTURE[kind]
  return abs(value / target - 1) <= TOLERANCE


def _search(
  measure: Callable[[int], float],
  kind: str,
  target: float,
  fixed: float,
  last: int,
) -> dict[int, float]:
  """Sizes by quality step, of at most MAX_TRIALS of those in [0, last].

  `fixed` is the part of each size that does not depend on the quality.
  """
  log_size = _typical()["log_size"]
  levels = np.linspace(0, last, len(log_size))

  def typical(q: int) -> float:
    return float(np.interp(q, levels, log_size))

  def log_coded(size: float) -> float:
    return math.log(max(size - fixed, 1e-9))

  aim = log_coded(target)
  if kind == "max_bytes":
    aim = log_coded(target * (1 - TOLERANCE / 2))  # land below, not around
  values: dict[int, float] = {}
  low, high = -1, last + 1  # known to lie below and above the aim
  q = last // 2
  while len(values) < MAX_TRIALS:
    values[q] = value = measure(q)
    fits = kind != "max_bytes" or value <= target
    if fits and _near(kind, value, target):
      break
    if log_coded(value) < aim:
      low = q
    else:
      high = q
    if high - low <= 1:
      break
    if kind == "max_bytes" and low < 0 and len(values) == MAX_TRIALS - 1:
      q = 0  # nothing fits so far; the last trial shall, if anything does
      continue
    # Secant on the typical curve, through the two nearest.
    logs = {s: log_coded(values[s]) for s in values}
    near = sorted(values, key=lambda s: abs(logs[s] - aim))
    slope = 1.0
    if len(near) > 1:
      rise = logs[near[0]] - logs[near[1]]
      slope = max(rise / (typical(near[0]) - typical(near[1])), 0.1)
    guess = typical(near[0]) + (aim - logs[near[0]]) / slope
    guess = round(float(np.interp(guess, log_size, levels)))
    q = min(max(guess, low + 1, 0), high - 1, last)
  return values


def latent_error(
  codec: Any, analysis: Analysis, quality: float
) -> np.ndarray:
  """Squared error of y_hat by channel, over the pixels; float64 [M]."""
  error = analysis.y - codec.y_hat(analysis, quality)
  total = np.einsum("hwc,hwc->c", error, error, dtype=np.float64)
  return total / (analysis.height * analysis.width)


def guessed_psnr(errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """PSNR in dB that errors of y_hat will have in the picture, roughly.

  Args:
    errors: [..., M] of `latent_error`.
    weights: [M + 1], squared error that each of these, and a 1, brings.
  """
  return psnr_of_mse(errors @ weights[:-1] + weights[-1])


class _PsnrCurve:
  """PSNR of a photo at the quality steps in [0, last], as far as it is known.

  Photos' curves are taken for draws from a Gaussian; each measured value
  conditions it. Two qualities are probed first, for their size and the error
  of y_hat: that costs little and tells much. Of models other than that of the
  constants, where latents are refined, and where pixels are hidden, only sizes
  are probed, and nothing is trusted that was not measured.
  """

  def __init__(self, codec: Any, analysis: Analysis):
    constants = _typical()
    model = codec.model
    own = (
      constants["fingerprint"].tobytes() == model.fingerprint
      and not codec.effort
      and analysis.visible is None
    )
    self._least = 0.0 if own else math.inf
    mean, covariance = constants["mean"], constants["covariance"]
    last = Q_PER_LEVEL * (model.top_quality - 1)
    first = 2 * len(PROBED)
    levels = np.linspace(0, last, len(mean) - first)
    spread = np.zeros((first + last + 1, len(mean)))  # of levels over the q
    spread[:first, :first] = np.eye(first)
    for column, one in enumerate(np.eye(len(levels)), start=first):
      spread[first:, column] = np.interp(np.arange(last + 1), levels, one)
    self._mean = spread @ mean
    self._factor = spread @ np.linalg.cholesky(covariance)
    self._first = first  # row of q = 0
    self._known = {}
    bare = dataclasses.replace(analysis, sections={})
    pixels = analysis.height * analysis.width
    for row, share in enumerate(PROBED):
      quality = 1 + round(share * last) / Q_PER_LEVEL
      bpp = 8 * len(codec.encode(bare, quality, refine=False)) / pixels
      self._known[row] = math.log(bpp)
      if own:
        error = latent_error(codec, analysis, quality)
        guess = guessed_psnr(error, constants["weights"])
        self._known[row + len(PROBED)] = float(guess)

  def learn(self, q: int, psnr: float) -> None:
    """Takes a measured value in."""
    self._known[self._first + q] = psnr

  def predict(self) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the PSNR at each quality step, dB.

    The deviation grows where the photo turns out to be unlike those that the
    constants come from.
    """
    rows = list(self._known)
    known, every = self._factor[rows], self._factor[self._first :]
    precision = np.linalg.inv(known @ known.T + _NOISE * np.eye(len(rows)))
    off = np.array(list(self._known.values())) - self._mean[rows]
    gain = every @ known.T @ precision
    mean = self._mean[self._first :] + gain @ off
    left = np.square(every).sum(1) - np.sum(gain * (every @ known.T), 1)
    unlike = max(1.0, float(off @ precision @ off) / len(rows))
    return mean, np.sqrt(np.maximum(left, 0) * unlike) + self._least


def _search_psnr(
  measure: Callable[[int], float], curve: _PsnrCurve, target: float, last: int
) -> dict[int, float]:
  """PSNR by quality step in [0, last]; only the last may be predicted.

  Where a trial has not halved the distance, the photo or the model is unlike
  what predictions come from, and the next one halves what is left.
  """
  values: dict[int, float] = {}
  low, high = -1, last + 1  # measured below and above, or none yet
  distance, halves = math.inf, True
  while len(values) < MAX_TRIALS and high - low > 1:
    mean, deviation = curve.predict()
    inside = slice(low + 1, high)
    q = low + 1 + int(np.argmin(np.abs(mean[inside] - target)))
    if values and 0 < q < last and deviation[q] <= _TRUSTED_DB:
      values[q] = float(mean[q])
      break
    if not halves:
      q = (low + high) // 2
    values[q] = measure(q)
    if _near("psnr", values[q], target):
      break
    curve.learn(q, values[q])
    low, high = (q, high) if values[q] < target else (low, q)
    before, distance = distance, abs(values[q] - target)
    halves = distance <= before / 2
  return values


def _search_score(
  measure: Callable[[int], float], target: float, last: int
) -> dict[int, float]:
  """SSIMULACRA2 by quality step in [0, last], of at most MAX_TRIALS.

  From the middle to an end, then by inverse interpolation; the interval is
  halved where that is of no use.
  """
  values: dict[int, float] = {}
  low, high = -1, last + 1  # measured below and above, or none yet
  q = last // 2
  while len(values) < MAX_TRIALS:
    values[q] = measure(q)
    if _near("ssimulacra2", values[q], target):
      break
    low, high = (q, high) if values[q] < target else (low, q)
    if high - low <= 1:
      break
    if low < 0 or high > last:
      q = 0 if low < 0 else last
      continue
    guess = _inverse(values, target)
    if guess is None:
      guess = (low + high) / 2
    q = min(max(round(guess), low + 1), high - 1)
  return values


def _inverse(values: dict[int, float], target: float) -> float | None:
  """Where an increasing curve through measured points reaches a value.

  None where the points do not increase.
  """
  from scipy.interpolate import PchipInterpolator

  steps = sorted(values)
  scores = [values[step] for step in steps]
  if not all(np.diff(scores) > 0):
    return None
  return float(PchipInterpolator(scores, steps)(target))
