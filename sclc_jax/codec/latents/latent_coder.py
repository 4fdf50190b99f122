"""y to bytes and back, the same way for every base model.

Positions are coded group by group. The context model's order defines the
groups; without one they are a few positions each in raster order, to bound the
memory. Inside a group, the selected elements are coded in raster order (row,
column, channel fastest). Where a model predicts low-pass channels, all groups
of these come first, then all of the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from sclc_jax.codec.exact.context import ContextState, coding_groups
from sclc_jax.codec.exact.control import SCALE_BITS, ControlPath
from sclc_jax.codec.exact.lowpass import LowPassState, wavefronts
from sclc_jax.codec.latents.rdoq import RDOQ
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.tiles import bands

_SYMBOL_MAX = 2**24


@dataclasses.dataclass(frozen=True)
class _Part:
  """Channels of y that are coded together.

  Attributes:
    model: whose they are.
    channels: an index into an axis of M.
    low: whether they are the low-pass ones.
  """

  model: CodecModel
  channels: slice | np.ndarray
  low: bool = False

  def groups(self, h: int, w: int) -> Iterable[slice | np.ndarray]:
    """Raster numbers of the positions of y [h, w, M], group by group."""
    if self.low:
      return wavefronts(h, w)
    if self.model.context is None:
      return bands((h * w, self.model.config.M))
    return coding_groups(self.model.context.order, h, w)

  def cells(self, group: slice | np.ndarray) -> tuple:
    """An index of these channels of a group into an array [h w, M]."""
    if isinstance(group, slice) or isinstance(self.channels, slice):
      return group, self.channels
    return np.ix_(group, self.channels)

  def state(self, h: int, w: int) -> ContextState | LowPassState | None:
    """What gives means and scales from the groups before, if anything."""
    if self.low:
      reciprocals = self.model.control.reciprocals[:, self.channels]
      iqv = self.model.iqv[:, self.channels]
      return LowPassState(self.model.lowpass, reciprocals, iqv, h, w)
    if self.model.context is None:
      return None
    return ContextState(self.model.context, h, w)

  def control(self) -> ControlPath:
    """The model's, for index and mean of these channels."""
    control = self.model.control
    narrow = control.reciprocals[:, self.channels]
    return dataclasses.replace(control, reciprocals=narrow)


def _parts(model: CodecModel) -> list[_Part]:
  """The channels in coding order."""
  if model.lowpass is None:
    return [_Part(model, slice(None))]
  low, others = model.lowpass.channels, model.lowpass.others(model.config.M)
  return [_Part(model, low, low=True), _Part(model, others)]


def coded_elements(model: CodecModel, mask: np.ndarray) -> np.ndarray:
  """Raster numbers of the selected elements in coding order, int64 [n].

  Args:
    model: a frozen model.
    mask: bool [h, w, M].
  """
  h, w, channels = mask.shape
  numbers = np.arange(mask.size).reshape(h * w, channels)
  chosen = mask.reshape(h * w, channels)
  return np.concatenate(
    [
      numbers[part.cells(group)][chosen[part.cells(group)]]
      for part in _parts(model)
      for group in part.groups(h, w)
    ]
  )


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
    self._parts = _parts(model)
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

    def decode(part, group, chosen, normal, index, at):
      del part, group, chosen, normal, at
      return read(index)

    return self._walk(side, mask, q, decode)

  def _walk(self, side, mask, q, code, reconstruct=True):
    """Runs over the groups, which encoder and decoder must do alike.

    `code` gives the symbols of a group from (part, group, chosen, normal,
    index, at): its channels and raster numbers; the mask there; the means
    divided by QV, or None; the table index of the chosen elements; the quality
    step there. Without `reconstruct` y_hat is not made.
    """
    h, w, channels = mask.shape
    side, chosen = side.reshape(h * w, -1), mask.reshape(h * w, -1)
    y_hat = np.zeros((h * w, channels), np.float32) if reconstruct else None
    index, symbols = np.empty((2, np.count_nonzero(mask)), np.int32)
    done = 0
    for part in self._parts:
      state, control = part.state(h, w), part.control()
      iqv = self._model.iqv[:, part.channels]
      for group in part.groups(h, w):
        at = q if np.ndim(q) == 0 else np.ravel(q)[group]
        cells = part.cells(group)
        coded = chosen[cells]
        mean, scale = self._gaussian(state, side[cells], group)
        normal = None if mean is None else control.normal_mean(mean, at)
        new = slice(done, done + np.count_nonzero(coded))
        index[new] = control.index(scale, coded, at)
        symbols[new] = code(part, group, coded, normal, index[new], at)
        done = new.stop
        if state is None and not reconstruct:
          continue
        filled = self._filled(coded, symbols[new], normal)
        if state is not None:
          state.add(group, filled, at)
        if reconstruct:
          y_hat[cells] = _as_float(filled) * iqv[at]
    return index, symbols, y_hat.reshape(mask.shape) if reconstruct else None

  def _filled(self, coded, symbols, normal):
    """y_hat / IQV of a group: float32, or int64 with SCALE_BITS given means.

    Args:
      coded: bool [n, channels], the mask.
      symbols: int32, those of the coded elements.
      normal: the means divided by QV, or None.
    """
    if normal is None:
      filled = np.zeros(coded.shape, np.float32)
      filled[coded] = symbols
      return filled
    if self._model.config.unselected == "zero":
      normal = normal * coded
    bounded = np.minimum(np.maximum(symbols, -_SYMBOL_MAX), _SYMBOL_MAX)
    bounded = bounded.astype(np.int64)
    normal[coded] += bounded << SCALE_BITS
    return normal

  def _quantizer(self, values: np.ndarray, table: np.ndarray, rounding):
    """The `code` of `_walk` that rounds.

    Args:
      values: float32 [h, w, M].
      table: [Q, M] to divide them by: QV, or IQV where they are y_hat.
      rounding: of the quotients, given their table index. Low-pass channels go
        to the nearest: RDOQ draws them towards their neighbours, whose errors
        then add up in the picture.
    """
    flat = values.reshape(-1, values.shape[-1])

    def quantize(part, group, chosen, normal, index, at):
      centred = flat[part.cells(group)] / table[at][..., part.channels]
      if normal is not None:
        centred -= _as_float(normal)
      rounded = _to_nearest if part.low else rounding
      symbols = rounded(centred[chosen], index)
      return np.clip(symbols, -_SYMBOL_MAX, _SYMBOL_MAX).astype(np.int32)

    return quantize

  def _gaussian(self, state, side, group):
    """(mean, scale) with SCALE_BITS; the mean is None where it is zero.

    Args:
      state: of the part, or None.
      side: of the part's channels of the group.
      group: raster numbers.
    """
    if state is not None:
      side = state.gaussian(side, group)
    elif not self._model.control.signed:
      return None, side
    mean, scale = np.split(side, 2, -1)
    return mean, np.maximum(scale, 0)


def _to_nearest(values: np.ndarray, index: np.ndarray) -> np.ndarray:
  del index
  return np.round(values)


def _as_float(normal: np.ndarray) -> np.ndarray:
  """Integers with SCALE_BITS as float32; float32 as they are."""
  if normal.dtype == np.float32:
    return normal
  return np.ldexp(normal.astype(np.float32), -SCALE_BITS)
