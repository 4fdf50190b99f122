"""y to bytes and back, the same way for every base model.

Positions are coded group by group. The context model's order defines the
groups; without one they are a few positions each in raster order, to bound the
memory. Inside a group, the selected elements are coded in raster order (row,
column, channel fastest).
"""

from __future__ import annotations

import numpy as np

from sclc_jax.codec.exact.context import ContextState, coding_groups
from sclc_jax.codec.exact.control import SCALE_BITS
from sclc_jax.codec.latents.rdoq import RDOQ
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.tiles import bands

_SYMBOL_MAX = 2**24


def position_groups(model: CodecModel, h: int, w: int):
  """Raster numbers of the positions of y [h, w, M], group by group."""
  if model.context is None:
    return bands((h * w, model.config.M))
  return coding_groups(model.context.order, h, w)


def coded_elements(model: CodecModel, mask: np.ndarray) -> np.ndarray:
  """Raster numbers of the selected elements in coding order, int64 [n].

  Args:
    model: a frozen model.
    mask: bool [h, w, M].
  """
  h, w, channels = mask.shape
  numbers = np.arange(mask.size).reshape(h * w, channels)
  chosen = mask.reshape(h * w, channels)
  groups = position_groups(model, h, w)
  return np.concatenate([numbers[group][chosen[group]] for group in groups])


class LatentCoder:
  """Codes y given the side information that z decides.

  Args:
    model: a frozen model.
    engine: a range coder of `range_coder.get_engine`.
    rate_weight: of the encoder's `RDOQ`; None takes the model's own.

  In all methods `side` is that of `ControlPath.prior`, `mask` bool [h, w, M],
  `q` the quality step, an integer or an integer array [h, w].
  """

  def __init__(self, model: CodecModel, engine, rate_weight: float | None):
    if rate_weight is None:
      rate_weight = model.config.rate_weight
    self._model = model
    self._control = model.control
    self._engine = engine
    self._rdoq = RDOQ(model.y_tables, rate_weight)

  def choose(
    self, y: np.ndarray, side: np.ndarray, mask: np.ndarray, q
  ) -> tuple[np.ndarray, np.ndarray]:
    """What is to be coded of y, float32 [h, w, M].

    Returns:
      Of the selected elements, in coding order, table index and symbol, int32
      [n].
    """
    code = self._quantizer(y, self._model.qv, self._rdoq)
    return self._walk(side, mask, q, code, reconstruct=False)[:2]

  def quantise(
    self, y: np.ndarray, side: np.ndarray, mask: np.ndarray, q
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `decode` will give for y: that of `choose`, and y_hat [h, w, M]."""
    code = self._quantizer(y, self._model.qv, self._rdoq)
    return self._walk(side, mask, q, code)

  def nearest(
    self, y_hat: np.ndarray, side: np.ndarray, mask: np.ndarray, q
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `quantise`, of the y_hat that lies nearest to a wanted one."""
    code = self._quantizer(y_hat, self._model.iqv, _to_nearest)
    return self._walk(side, mask, q, code)

  def decode(
    self, data: bytes, side: np.ndarray, mask: np.ndarray, q
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decodes y.

    Returns:
      Of the selected elements, in coding order, table index and symbol, int32
      [n]; and y_hat, float32 [h, w, M].
    """
    read = self._engine.decoder(self._model.y_tables, data)

    def decode(positions, chosen, normal, index, at):
      del positions, chosen, normal, at
      return read(index)

    return self._walk(side, mask, q, decode)

  def _walk(self, side, mask, q, code, reconstruct=True):
    """Runs over the groups, which encoder and decoder must do alike.

    `code` gives the symbols of a group from (positions, chosen, normal, index,
    at): raster numbers; the mask there; the means divided by QV, or None; the
    table index of the chosen elements; the quality step there. Without
    `reconstruct` y_hat is not made.
    """
    h, w, channels = mask.shape
    side, chosen = side.reshape(h * w, -1), mask.reshape(h * w, -1)
    context = None
    if self._model.context is not None:
      context = ContextState(self._model.context, h, w)
    y_hat = np.zeros((h * w, channels), np.float32) if reconstruct else None
    index, symbols = np.empty((2, np.count_nonzero(mask)), np.int32)
    done = 0
    for group in position_groups(self._model, h, w):
      at = q if np.ndim(q) == 0 else np.ravel(q)[group]
      coded, rows = chosen[group], side[group]
      if context is not None:
        rows = context.gaussian(rows, group)
      mean, scale = self._gaussian(rows)
      normal = None
      if mean is not None:
        normal = self._control.normal_mean(mean, at)
      new = slice(done, done + np.count_nonzero(coded))
      index[new] = self._control.index(scale, coded, at)
      symbols[new] = code(group, coded, normal, index[new], at)
      done = new.stop
      if context is not None or (reconstruct and normal is not None):
        if self._model.config.unselected == "zero":
          normal = normal * coded
        bounded = np.clip(symbols[new], -_SYMBOL_MAX, _SYMBOL_MAX).astype(
          np.int64
        )
        normal[coded] += bounded << SCALE_BITS
        if context is not None:
          context.add(group, normal, at)
      if reconstruct:
        if normal is None:
          filled = np.zeros(coded.shape, np.float32)
          filled[coded] = symbols[new]
        else:
          filled = _as_float(normal)
        y_hat[group] = filled * self._model.iqv[at]
    return index, symbols, y_hat.reshape(mask.shape) if reconstruct else None

  def _quantizer(self, values: np.ndarray, table: np.ndarray, rounding):
    """The `code` of `_walk` that rounds.

    Args:
      values: float32 [h, w, M].
      table: [Q, M] to divide them by: QV, or IQV where they are y_hat.
      rounding: of the quotients, given their table index.
    """
    flat = values.reshape(-1, values.shape[-1])

    def quantize(positions, chosen, normal, index, at):
      centred = flat[positions] / table[at]
      if normal is not None:
        centred -= _as_float(normal)
      symbols = rounding(centred[chosen], index)
      return np.clip(symbols, -_SYMBOL_MAX, _SYMBOL_MAX).astype(np.int32)

    return quantize

  def _gaussian(self, rows):
    """(mean, scale) with SCALE_BITS; the mean is None where it is zero."""
    if not self._control.signed:
      return None, rows
    mean, scale = np.split(rows, 2, -1)
    return mean, np.maximum(scale, 0)


def _to_nearest(values: np.ndarray, index: np.ndarray) -> np.ndarray:
  del index
  return np.round(values)


def _as_float(normal: np.ndarray) -> np.ndarray:
  """Integers with SCALE_BITS as float32."""
  return np.ldexp(normal.astype(np.float32), -SCALE_BITS)
