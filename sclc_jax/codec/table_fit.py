"""Tables of y that follow the symbols that a model really codes.

Training sees y with noise added, and takes it for Gaussian. Rounded, it has
more zeros and more outliers than Gaussians of the predicted scales.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model_file import CodecModel, with_tables
from sclc_jax.codec.range_coder import RangeTables, intervals
from sclc_jax.codec.tables import build_fitted_tables, gaussian_tables

PHOTOS = 100  # of a large set; with 80 others gain as much as these


def fit_tables(
  model: CodecModel, images: Iterable[np.ndarray]
) -> tuple[CodecModel, float]:
  """Counts what the model codes of photographs at all levels.

  Args:
    model: a frozen model; its own tables, if it has some, are replaced.
    images: uint8 [H, W, 3] or [H, W]; not those that it will be judged by.

  Returns:
    The model with tables of its own, and the share of the bits of y that they
    save on these photographs.
  """
  codec, gaussian = Codec(model), gaussian_tables()
  counts = np.zeros(gaussian.cdf.size, np.int64)
  escapes = 0  # bits that escapes cost under either tables
  for image in images:
    analysis = codec.analyse(image)
    for level in range(1, model.config.levels + 1):
      indexes, symbols = codec.chosen(analysis, level)
      at, gamma = intervals(gaussian, symbols, indexes)
      counts += np.bincount(at, minlength=counts.size)
      escapes += 2 * int(np.frexp(gamma.astype(float))[1].sum())
  if not counts.any():
    raise ValueError("the model codes nothing of y in these photographs.")
  fitted = build_fitted_tables(counts)
  before, after = (_bits(t, counts) + escapes for t in (gaussian, fitted))
  return with_tables(model, fitted), 1 - after / before


def _bits(tables: RangeTables, counts: np.ndarray) -> float:
  """What symbols cost that fall `counts` times into each interval."""
  at = np.flatnonzero(counts)
  row = np.searchsorted(tables.starts, at, "right") - 1
  width = tables.cdf[at + 1] - tables.cdf[at]
  precision = -tables.cdf[tables.starts[row]]
  return float((counts[at] * (precision - np.log2(width))).sum())
