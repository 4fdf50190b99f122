"""y to bytes and back, the same way for every base model.

Positions are coded group by group: all at once without a context model, else
in the groups of its order. Inside a group elements follow in raster order
(row, column, channel fastest), and only selected ones are coded.
"""

from __future__ import annotations

import numpy as np

from sclc_jax.codec.control import SCALE_BITS
from sclc_jax.codec.model_file import CodecModel
from sclc_jax.codec.tables import gaussian_tables

_SYMBOL_MAX = 2**24


class LatentCoder:
  """Codes y given the side information that z decides.

  Args:
    model: a frozen model.
    engine: a range coder of `range_coder.get_engine`.

  In all methods `side` is that of `ControlPath.prior`, `mask` bool [h, w, M],
  `step` the quality, an integer or an integer array [h, w].
  """

  def __init__(self, model: CodecModel, engine):
    self._model = model
    self._control = model.control
    self._engine = engine

  def encode(
    self, y: np.ndarray, side: np.ndarray, mask: np.ndarray, step
  ) -> tuple[np.ndarray, bytes]:
    """Quantizes and codes y, float32 [h, w, M].

    Returns:
      The symbols, int32 [n] in coding order, and their bytes.
    """
    mean, scale = self._gaussian(side)
    symbols = y / self._model.steps[0, step]
    if mean is not None:
      symbols -= self._normal_mean(mean, step)
    symbols = np.round(symbols)[mask]
    symbols = np.clip(symbols, -_SYMBOL_MAX, _SYMBOL_MAX).astype(np.int32)
    index = self._control.index(scale, mask, step)
    return symbols, self._engine.encode(gaussian_tables(), symbols, index)

  def decode(
    self, data: bytes, side: np.ndarray, mask: np.ndarray, step
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decodes y.

    Returns:
      Of the selected elements, in coding order, table index and symbol, int32
      [n]; and y_hat, float32 [h, w, M].
    """
    mean, scale = self._gaussian(side)
    index = self._control.index(scale, mask, step)
    symbols = self._engine.decode(gaussian_tables(), data, index)
    y_hat = np.zeros(mask.shape, np.float32)
    y_hat[mask] = symbols
    if mean is not None:
      normal = self._normal_mean(mean, step)
      if self._model.config.unselected == "zero":
        normal *= mask
      y_hat += normal
    return index, symbols, y_hat * self._model.steps[1, step]

  def _gaussian(self, side):
    """(mean, scale), int64 with SCALE_BITS; the mean is None where zero."""
    if not self._control.signed:
      return None, side
    mean, scale = np.split(side, 2, -1)
    return mean, np.maximum(scale, 0)

  def _normal_mean(self, mean, step):
    """mean / QV as float32."""
    normal = self._control.normal_mean(mean, step).astype(np.float32)
    return np.ldexp(normal, -SCALE_BITS)
