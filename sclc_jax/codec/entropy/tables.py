"""Probability tables of the range coder, int32; decoding never builds them.

The Gaussian tables are the same for every model; they were built by
tensorflow-compression (`python -m sclc_jax.codec.entropy.tables`) and are
committed.
"""

from __future__ import annotations

import functools
import heapq
import importlib.resources
import math
import pathlib
from collections.abc import Callable

import numpy as np

from sclc_jax.codec import elementary
from sclc_jax.codec.entropy.range_coder import RangeTables

PRECISION = 16
_LOG_SCALES = elementary.log([0.11, 256.0])
SCALES = elementary.exp(
  _LOG_SCALES[0] + (_LOG_SCALES[1] - _LOG_SCALES[0]) / 63 * np.arange(64)
)
# An index is the scale nearest in logarithm, not the next larger one: at
# scale 0.2 that costs 0.8 % instead of 2.7 %.
INDEX_BOUNDS = np.sqrt(SCALES[1:] * SCALES[:-1])
_TAIL_DEVIATIONS = 4.5
_LONGEST_REACH = 4608  # four times the Gaussians'; each symbol takes a count
_FILE = "gaussian_tables.npz"
_PRIOR = 1000  # symbols that the density counts for in fitted tables

Quantise = Callable[[np.ndarray], np.ndarray]


@functools.cache
def _bits_of_counts() -> np.ndarray:
  """log2 of 1, 2, ... 2 ** PRECISION, after an infinity for 0."""
  counts = np.arange(1, (1 << PRECISION) + 1)
  return np.append(-np.inf, elementary.log(counts) / elementary.log(2.0))


def quantise_pmf(pmf: np.ndarray) -> np.ndarray:
  """Twin of TFC's `pmf_to_quantized_cdf`, the same on every machine.

  Rounds to counts of at least 1, then moves one count after another, each where
  that costs the least expected bits, until they sum to 2 ** PRECISION. Of equal
  costs the first counts; TFC leaves that to its sorting, so that its counts may
  differ by one.

  Args:
    pmf: float [n], the escape's mass last.

  Returns:
    int32 [n + 1] from 0 to 2 ** PRECISION.
  """
  pmf = np.asarray(pmf, np.float32).astype(np.float64)
  whole = 1 << PRECISION
  if pmf.size > whole:
    raise ValueError(f"{pmf.size} symbols do not fit {PRECISION} bits.")
  counts = np.maximum(np.round(pmf * whole), 1).astype(np.int64)
  excess = int(counts.sum()) - whole
  sign = 1 if excess > 0 else -1
  bits = _bits_of_counts()


  def cost(symbol: int) -> float:
    """Expected bits that the next count moved from (or to) a symbol adds."""
    count = int(counts[symbol])
    if count == sign:  # the last one stays
      return math.inf
    return float(pmf[symbol] * (bits[count] - bits[count - sign]))

  costs = [(cost(symbol), symbol) for symbol in range(pmf.size)]
  heapq.heapify(costs)
  for _ in range(abs(excess)):
    symbol = costs[0][1]
    counts[symbol] -= sign
    heapq.heapreplace(costs, (cost(symbol), symbol))
  return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def tfc_quantise(pmf: np.ndarray) -> np.ndarray:
  """TFC's own, which built the Gaussian tables and is what tests compare to."""
  from tensorflow_compression.python.ops import gen_ops

  pmf = np.asarray(pmf, np.float32)
  return gen_ops.pmf_to_quantized_cdf(pmf, precision=PRECISION).numpy()


def _join(rows: list[np.ndarray], offsets: list[int]) -> RangeTables:
  parts = []
  for row in rows:
    parts += [np.array([-PRECISION]), row]
  return RangeTables(
    np.concatenate(parts).astype(np.int32), np.array(offsets, np.int32)
  )


def _with_escape(pmf: np.ndarray) -> np.ndarray:
  """Masses, and what they leave to the escape."""
  return np.append(pmf, max(1 - elementary.total(pmf), 0.0))


def build_gaussian_tables(quantise: Quantise = quantise_pmf) -> RangeTables:
  """64 zero-mean Gaussians convolved with U(-1/2, 1/2).

  Each covers 4.5 deviations each side; the escape codes what lies outside.
  """
  return build_mixture_tables(np.ones(1), np.ones(1), quantise)


def build_mixture_tables(
  weights: np.ndarray,
  multiples: np.ndarray,
  quantise: Quantise = quantise_pmf,
) -> RangeTables:
  """64 mixtures of zero-mean Gaussians convolved with U(-1/2, 1/2).

  Each covers what holds all but the mass of 4.5 deviations of a Gaussian.

  Args:
    weights: [K], of sum 1.
    multiples: [K], deviations of the components, in those of `SCALES`.
    quantise: masses to counts.
  """
  parts = list(zip(weights.tolist(), multiples.tolist()))

  def mixed(masses: Callable[[float], np.ndarray]) -> np.ndarray:
    return functools.reduce(  # a product of matrices may sum in any order
      np.add, (weight * masses(multiple) for weight, multiple in parts)
    )

  tail = elementary.ndtr(-_TAIL_DEVIATIONS)
  widest = _TAIL_DEVIATIONS * float(np.max(multiples))
  reaches = widest * np.arange(1001) / 1000
  outside = mixed(lambda multiple: elementary.ndtr(-reaches / multiple))
  inside = np.flatnonzero(outside <= tail)
  reach_of_one = reaches[inside[0] if inside.size else -1]
  rows, offsets = [], []
  for scale in SCALES:
    reach = min(int(np.ceil(reach_of_one * scale)), _LONGEST_REACH)
    edges = np.arange(reach + 2) - 0.5
    above = mixed(
      lambda multiple: elementary.ndtr(-edges / (scale * multiple))  # noqa: B023
    )
    half = above[:-1] - above[1:]  # masses of 0, 1, ... reach
    pmf = np.concatenate([half[:0:-1], half])
    rows.append(quantise(_with_escape(pmf)))
    offsets.append(-reach)
  return _join(rows, offsets)


def build_factorized_tables(
  masses: np.ndarray,
  first: int,
  lower: np.ndarray,
  upper: np.ndarray,
  quantise: Quantise = quantise_pmf,
) -> RangeTables:
  """Tables of z, one a channel.

  Args:
    masses: [S, C], of consecutive integers.
    first: the integer of the first row.
    lower: int [C], first symbol of each channel's table.
    upper: int [C], last symbol.
    quantise: masses to counts.
  """
  rows = [
    quantise(_with_escape(masses[low - first : high + 1 - first, channel]))
    for channel, (low, high) in enumerate(zip(lower, upper))
  ]
  return _join(rows, list(lower))


def build_fitted_tables(
  density: RangeTables, counts: np.ndarray, quantise: Quantise = quantise_pmf
) -> RangeTables:
  """Tables of a density, corrected by how often their symbols occur.

  Each row is made symmetric, since the density is; rows that were counted
  rarely stay near it.

  Args:
    density: of the 64 scales.
    counts: [K], of each interval where it starts in `density.cdf`.
    quantise: masses to counts.
  """
  rows = []
  for start, stop in zip(density.starts[:-1], density.starts[1:]):
    prior = np.diff(density.cdf[start + 1 : stop]) / 2.0**PRECISION
    row = np.array(counts[start + 1 : stop - 1], float)
    row[:-1] = (row[:-1] + row[-2::-1]) / 2
    number = elementary.total(row) + _PRIOR
    rows.append(quantise((row + _PRIOR * prior) / number))
  return _join(rows, list(density.cdf_offset))


@functools.cache
def gaussian_tables() -> RangeTables:
  """The committed Gaussian tables."""
  resource = importlib.resources.files("sclc_jax.codec.entropy") / _FILE
  with resource.open("rb") as file, np.load(file) as arrays:
    return RangeTables(arrays["cdf"], arrays["cdf_offset"])


if __name__ == "__main__":
  built = build_gaussian_tables(tfc_quantise)
  np.savez_compressed(
    pathlib.Path(__file__).with_name(_FILE),
    cdf=built.cdf,
    cdf_offset=built.cdf_offset,
  )
