"""Tables of y that follow the symbols that a model really codes.

Training sees y with noise added. Rounded, y has more zeros and more outliers
than Gaussians of the predicted scales.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.entropy.range_coder import interval_bits, intervals
from sclc_jax.codec.entropy.tables import build_fitted_tables
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.export.density import y_tables
from sclc_jax.export.freeze import with_tables


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
  density = y_tables(model.config, model.params)
  codec = Codec(with_tables(model, density))  # as the encoder looks at the rate
  counts = np.zeros(density.cdf.size, np.int64)
  escapes = 0  # bits that escapes cost under either tables
  for image in images:
    analysis = codec.analyse(image)
    for level in range(1, model.config.levels + 1):
      coded = codec.symbols(codec.encode(analysis, level))
      at, escape = intervals(density, coded.y, coded.index)
      counts += np.bincount(at, minlength=counts.size)
      escapes += int(escape.sum())
  if not counts.any():
    raise ValueError("the model codes nothing of y in these photographs.")
  fitted = build_fitted_tables(density, counts)
  at = np.flatnonzero(counts)
  before, after = (
    counts[at] @ interval_bits(tables, at) + escapes
    for tables in (density, fitted)
  )
  return with_tables(model, fitted), 1 - after / before
