"""Probability tables of the range coder: int32, built once, never at decode.

The Gaussian tables are the same for every model; they were built by
tensorflow-compression (`python -m sclc_jax.codec.entropy.tables`) and are
committed.
"""

from __future__ import annotations

import functools
import importlib.resources
import pathlib
from collections.abc import Callable

import numpy as np

from sclc_jax.codec.entropy.range_coder import RangeTables

PRECISION = 16
SCALES = np.exp(np.linspace(np.log(0.11), np.log(256.0), 64))
# An index is the scale nearest in logarithm, not the next larger one: at
# scale 0.2 that costs 0.8 % instead of 2.7 %.
INDEX_BOUNDS = np.sqrt(SCALES[1:] * SCALES[:-1])
_TAIL_DEVIATIONS = 4.5
_LONGEST_REACH = 4608  # four times the Gaussians'; each symbol takes a count
_FILE = "gaussian_tables.npz"
_PRIOR = 1000  # symbols that the density counts for in fitted tables


def quantise_pmf(pmf: np.ndarray, precision: int = PRECISION) -> np.ndarray:
  """NumPy twin of TFC's `pmf_to_quantized_cdf`.

  Rounds to counts of at least 1, then moves single counts where that costs
  the least expected bits until they sum to 2 ** precision.

  Args:
    pmf: float [n], the escape's mass last.
    precision: bits.

  Returns:
    int32 [n + 1] from 0 to 2 ** precision.
  """
  pmf = np.asarray(pmf, np.float32).astype(np.float64)
  total = 1 << precision
  counts = np.maximum(np.round(pmf * total), 1).astype(np.int64)
  excess = int(counts.sum()) - total
  while excess:
    sign = 1 if excess > 0 else -1
    with np.errstate(divide="ignore", invalid="ignore"):
      cost = pmf * (np.log2(counts) - np.log2(counts - sign))
    if sign > 0:
      cost[counts <= 1] = np.inf
    best = np.argsort(cost, kind="stable")[: min(abs(excess), 16)]
    if sign > 0 and not np.isfinite(cost[best[0]]):
      raise ValueError(f"{pmf.size} symbols do not fit {precision} bits.")
    best = best[np.isfinite(cost[best])]
    counts[best] -= sign
    excess -= sign * len(best)
  return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def _tfc_quantise(pmf: np.ndarray, precision: int = PRECISION) -> np.ndarray:
  from tensorflow_compression.python.ops import gen_ops

  pmf = np.asarray(pmf, np.float32)
  return gen_ops.pmf_to_quantized_cdf(pmf, precision=precision).numpy()


def _builder(name: str) -> Callable[[np.ndarray], np.ndarray]:
  if name == "auto":
    try:
      import tensorflow_compression  # noqa: F401
    except ImportError:
      return quantise_pmf
    return _tfc_quantise
  return {"tfc": _tfc_quantise, "numpy": quantise_pmf}[name]


def _join(rows: list[np.ndarray], offsets: list[int]) -> RangeTables:
  parts = []
  for row in rows:
    parts += [np.array([-PRECISION]), row]
  return RangeTables(
    np.concatenate(parts).astype(np.int32), np.array(offsets, np.int32)
  )


def build_gaussian_tables(builder: str = "auto") -> RangeTables:
  """64 zero-mean Gaussians convolved with U(-1/2, 1/2).

  Each covers 4.5 deviations each side; the escape codes what lies outside.
  """
  return build_mixture_tables(np.ones(1), np.ones(1), builder)


def build_mixture_tables(
  weights: np.ndarray, multiples: np.ndarray, builder: str = "auto"
) -> RangeTables:
  """64 mixtures of zero-mean Gaussians convolved with U(-1/2, 1/2).

  Each covers what holds all but the mass of 4.5 deviations of a Gaussian.

  Args:
    weights: [K], of sum 1.
    multiples: [K], deviations of the components, in those of `SCALES`.
    builder: `tfc`, `numpy`, or `auto`: TFC's where it is installed.
  """
  from scipy.special import ndtr

  def outside(deviations: float) -> float:
    return float(weights @ ndtr(-deviations / multiples))

  tail, widest = ndtr(-_TAIL_DEVIATIONS), float(np.max(multiples))
  reaches = np.linspace(0, _TAIL_DEVIATIONS * widest, 1001)
  reach_of_one = next((r for r in reaches if outside(r) <= tail), reaches[-1])
  quantise = _builder(builder)
  rows, offsets = [], []
  for scale in SCALES:
    reach = min(int(np.ceil(reach_of_one * scale)), _LONGEST_REACH)
    k = np.abs(np.arange(-reach, reach + 1))[:, None]
    deviation = scale * multiples
    masses = ndtr((0.5 - k) / deviation) - ndtr((-0.5 - k) / deviation)
    pmf = masses @ weights
    rows.append(quantise(np.append(pmf, max(1 - pmf.sum(), 0.0))))
    offsets.append(-reach)
  return _join(rows, offsets)


def build_factorized_tables(
  likelihood: Callable[[np.ndarray], np.ndarray],
  lower: np.ndarray,
  upper: np.ndarray,
  builder: str = "auto",
) -> RangeTables:
  """Tables of z, one a channel.

  Args:
    likelihood: integers [S] to probability masses [S, C].
    lower: int [C], first symbol of each channel's table.
    upper: int [C], last symbol.
    builder: `tfc`, `numpy`, or `auto`: TFC's where it is installed.
  """
  quantise = _builder(builder)
  first = int(lower.min())
  masses = likelihood(np.arange(first, int(upper.max()) + 1))
  rows = []
  for c, (low, high) in enumerate(zip(lower, upper)):
    pmf = masses[low - first : high + 1 - first, c]
    rows.append(quantise(np.append(pmf, max(1 - pmf.sum(), 0.0))))
  return _join(rows, list(lower))


def build_fitted_tables(
  density: RangeTables, counts: np.ndarray, builder: str = "auto"
) -> RangeTables:
  """Tables of a density, corrected by how often their symbols occur.

  Each row is made symmetric, since the density is; rows that were counted
  rarely stay near it.

  Args:
    density: of the 64 scales.
    counts: [K], of each interval where it starts in `density.cdf`.
    builder: `tfc`, `numpy`, or `auto`: TFC's where it is installed.
  """
  quantise = _builder(builder)
  rows = []
  for start, stop in zip(density.starts[:-1], density.starts[1:]):
    prior = np.diff(density.cdf[start + 1 : stop]) / 2.0**PRECISION
    row = np.array(counts[start + 1 : stop - 1], float)
    row[:-1] = (row[:-1] + row[-2::-1]) / 2
    rows.append(quantise((row + _PRIOR * prior) / (row.sum() + _PRIOR)))
  return _join(rows, list(density.cdf_offset))


@functools.cache
def gaussian_tables() -> RangeTables:
  """The committed Gaussian tables."""
  resource = importlib.resources.files("sclc_jax.codec.entropy") / _FILE
  with resource.open("rb") as file, np.load(file) as arrays:
    return RangeTables(arrays["cdf"], arrays["cdf_offset"])


if __name__ == "__main__":
  built = build_gaussian_tables("tfc")
  np.savez_compressed(
    pathlib.Path(__file__).with_name(_FILE),
    cdf=built.cdf,
    cdf_offset=built.cdf_offset,
  )
