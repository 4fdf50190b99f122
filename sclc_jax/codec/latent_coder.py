"""y to bytes and back, the same way for every base model.

Positions are coded group by group: all at once without a context model, else
in the groups of its order. Inside a group elements follow in raster order
(row, column, channel fastest), and only selected ones are coded.
"""

from __future__ import annotations

import numpy as np

from sclc_jax.codec.context import ContextState, coding_groups
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
    y = (y / self._model.steps[0, step]).reshape(-1, y.shape[-1])

    def quantize(positions, chosen, normal, index):
      del index
      centred = y[positions]
      if normal is not None:
        centred = centred - _as_float(normal)
      symbols = np.round(centred)[chosen]
      return np.clip(symbols, -_SYMBOL_MAX, _SYMBOL_MAX).astype(np.int32)

    index, symbols, _ = self._walk(side, mask, step, quantize, False)
    return symbols, self._engine.encode(gaussian_tables(), symbols, index)

  def decode(
    self, data: bytes, side: np.ndarray, mask: np.ndarray, step
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decodes y.

    Returns:
      Of the selected elements, in coding order, table index and symbol, int32
      [n]; and y_hat, float32 [h, w, M].
    """
    read = self._engine.decoder(gaussian_tables(), data)

    def decode(positions, chosen, normal, index):
      del positions, chosen, normal
      return read(index)

    return self._walk(side, mask, step, decode, True)

  def _walk(self, side, mask, step, code, reconstruct):
    """Runs over the groups, which encoder and decoder must do alike.

    `code` gives the symbols of a group from (positions, chosen, normal,
    index): raster numbers; the mask there; the means divided by QV, or None;
    the table index of the chosen elements.
    """
    h, w, channels = mask.shape
    side, chosen = side.reshape(h * w, -1), mask.reshape(h * w, -1)
    context = None
    groups = [slice(None)]
    if self._model.context is not None:
      context = ContextState(self._model.context, h, w)
      groups = coding_groups(self._model.context.order, h, w)
    y_hat = np.zeros((h * w, channels), np.float32) if reconstruct else None
    found = []
    for group in groups:
      at = step if np.ndim(step) == 0 else np.ravel(step)[group]
      here, rows = chosen[group], side[group]
      if context is not None:
        rows = context.gaussian(rows, group)
      mean, scale = self._gaussian(rows)
      normal = None
      if mean is not None:
        normal = self._control.normal_mean(mean, at)
      index = self._control.index(scale, here, at)
      symbols = code(group, here, normal, index)
      found.append((index, symbols))
      if context is not None or (reconstruct and normal is not None):
        if self._model.config.unselected == "zero":
          normal = normal * here
        bounded = np.clip(symbols.astype(np.int64), -_SYMBOL_MAX, _SYMBOL_MAX)
        normal[here] += bounded << SCALE_BITS
        if context is not None:
          context.add(group, normal, at)
      if reconstruct and normal is None:
        y_hat[here] = symbols
      elif reconstruct:
        y_hat[group] = _as_float(normal)
    index, symbols = map(np.concatenate, zip(*found))
    if reconstruct:
      y_hat = y_hat.reshape(mask.shape) * self._model.steps[1, step]
    return index, symbols, y_hat

  def _gaussian(self, rows):
    """(mean, scale), with SCALE_BITS; the mean is None where zero."""
    if not self._control.signed:
      return None, rows
    mean, scale = np.split(rows, 2, -1)
    return mean, np.maximum(scale, 0)


def _as_float(normal: np.ndarray) -> np.ndarray:
  """Integers with SCALE_BITS as float32."""
  return np.ldexp(normal.astype(np.float32), -SCALE_BITS)
