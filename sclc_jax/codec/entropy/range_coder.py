"""Symbols to bytes and back: two engines, one byte format.

The format is that of tensorflow-compression (TFC): a carry-propagating range
coder (Martin 1979) of 32-bit state that emits 16 bits at a time, with an
Elias-gamma escape for symbols outside their table. `tfc` calls TFC; `portable`
is our own, compiled by numba, for where TFC cannot be installed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numba
import numpy as np

from sclc_jax.codec.tiles import bands


class CorruptStreamError(ValueError):
  """The coded bytes cannot come from the encoder."""


@dataclasses.dataclass(frozen=True)
class RangeTables:
  """Cumulative counts of several distributions.

  Attributes:
    cdf: int32 [K], rows one after another in TFC's layout: minus the
      precision, then 0 ... 2 ** precision. The last interval is the escape.
    cdf_offset: int32 [T], the symbol of each row's first interval.
  """

  cdf: np.ndarray
  cdf_offset: np.ndarray

  @functools.cached_property
  def starts(self) -> np.ndarray:
    """int64 [T + 1], where each row starts in `cdf`, and the end."""
    return np.append(np.flatnonzero(self.cdf < 0), self.cdf.size)

  def is_valid(self, count: int) -> bool:
    """Whether these are `count` rows of rising counts, as the coder expects.

    It does not look again, so tables from outside have to be checked.
    """
    if self.cdf.ndim != 1 or self.cdf_offset.shape != (count,):
      return False
    rows = np.split(self.cdf, self.starts[:-1])
    return (
      rows[0].size == 0
      and len(rows) == count + 1
      and all(
        -16 <= row[0]
        and row.size >= 3
        and row[1] == 0
        and row[-1] == 1 << -int(row[0])
        and (np.diff(row[1:]) > 0).all()
        for row in rows[1:]
      )
    )


def intervals(
  tables: RangeTables, symbols: np.ndarray, indexes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Where in `tables.cdf` the interval of each symbol starts.

  Args:
    tables: of the coder.
    symbols: int32 [n].
    indexes: int32 [n], the table of each.

  Returns:
    int64 [n], the entry; int64 [n], the bits of the escape code that follows,
    0 where there is none.
  """
  start = tables.starts[indexes]
  last = tables.starts[np.asarray(indexes) + 1] - start - 3
  value = symbols.astype(np.int64) - tables.cdf_offset[indexes]
  escaped = (value < 0) | (value >= last)
  gamma = np.where(value < 0, -value, value - last + 1)
  length = np.frexp(gamma.astype(float))[1]  # its binary digits
  return (
    start + 1 + np.where(escaped, last, value),
    np.where(escaped, 2 * length, 0),
  )


def interval_bits(tables: RangeTables, at: np.ndarray) -> np.ndarray:
  """float64 [n], bits of the intervals that start at `at` [n] in the cdf."""
  row = np.searchsorted(tables.starts, at, "right") - 1
  width = tables.cdf[at + 1] - tables.cdf[at]
  return -tables.cdf[tables.starts[row]] - np.log2(width)


def symbol_bits(
  tables: RangeTables, symbols: np.ndarray, indexes: np.ndarray
) -> np.ndarray:
  """What each symbol costs: bits of its interval, and of its escape code.

  Args:
    tables: of the coder.
    symbols: int32 [n].
    indexes: int32 [n], the table of each.

  Returns:
    float64 [n]; the coded bytes exceed their sum by a fraction of a percent.
  """
  at, escape = intervals(tables, symbols, indexes)
  return interval_bits(tables, at) + escape


@numba.njit(
  "uint8[:](int32[:], int64[:], int32[:], int32[:])", cache=True, nogil=True
)
def _encode(cdf, starts, symbols, indexes):
  out = np.empty(symbols.size // 2 + 64, np.uint8)  # grows
  n = 0
  base, size1, digit, zeros = 0, 0xFFFFFFFF, 0, 0
  # `digit` > 0 is a 16-bit digit held back, as a carry may still lower it by
  # one; `zeros` bytes follow it.
  for j in range(symbols.size):
    start, stop = starts[indexes[j]], starts[indexes[j] + 1]
    value = np.int64(symbols[j])
    last = stop - start - 3
    sign, gamma = 0, np.int64(0)
    if value < 0:
      sign, gamma, value = 1, -value, np.int64(last)
    elif value >= last:
      gamma, value = value - last + 1, np.int64(last)
    bits = 0
    while gamma >> bits:
      bits += 1
    # One interval for the symbol; an escape adds bits - 1 zeros, `bits` bits
    # and the sign, each at precision 1.
    count = 1 if gamma == 0 else 2 * bits + 1
    for k in range(count):
      if k == 0:
        precision = -np.int64(cdf[start])
        low = np.int64(cdf[start + 1 + value])
        high = np.int64(cdf[start + 2 + value])
      else:
        if k < bits:
          bit = np.int64(0)
        elif k < 2 * bits:
          bit = (gamma >> (2 * bits - 1 - k)) & 1
        else:
          bit = np.int64(sign)
        precision, low, high = np.int64(1), bit, bit + 1
      size = np.int64(size1) + 1
      a = (size * low) >> precision
      b = ((size * high) >> precision) - 1
      base = base + a
      overflow = base > 0xFFFFFFFF
      base &= 0xFFFFFFFF
      size1 = b - a
      if n + zeros + 64 > out.size:
        grown = np.empty(2 * (out.size + zeros + 64), np.uint8)
        grown[:n] = out[:n]
        out = grown
      if base + size1 > 0xFFFFFFFF:
        if size1 >> 16 == 0:
          base = (base << 16) & 0xFFFFFFFF
          size1 = (size1 << 16) | 0xFFFF
          zeros += 2
        continue
      if digit:
        fill = 0
        if not overflow:
          digit -= 1
          fill = 255
        out[n], out[n + 1] = digit >> 8, digit & 255
        n += 2
        for _ in range(zeros):
          out[n] = fill
          n += 1
        digit, zeros = 0, 0
      if size1 >> 16 == 0:
        top = base >> 16
        base = (base << 16) & 0xFFFFFFFF
        size1 = (size1 << 16) | 0xFFFF
        if base + size1 <= 0xFFFFFFFF:
          out[n], out[n + 1] = top >> 8, top & 255
          n += 2
        else:
          digit = top + 1
  # The shortest number inside the interval; trailing zeros are implied.
  if digit:
    out[n] = digit >> 8
    n += 1
    if digit & 255:
      out[n] = digit & 255
      n += 1
  elif base:
    top = ((base - 1) >> 24) + 1
    if top <= (base + size1) >> 24:
      out[n] = top
      n += 1
    else:
      top = ((base - 1) >> 16) + 1
      out[n] = top >> 8
      n += 1
      if top & 255:
        out[n] = top & 255
        n += 1
  return out[:n]


@numba.njit(
  "boolean(int32[:], int64[:], uint8[:], int64[:], int32[:], int32[:])",
  cache=True,
  nogil=True,
)
def _decode(cdf, starts, data, state, indexes, out):
  # `state` holds at, value, base and size1 from one call to the next.
  at, value, base, size1 = state
  for j in range(indexes.size):
    start, stop = starts[indexes[j]], starts[indexes[j] + 1]
    last = stop - start - 3
    phase, prefix, remaining = 0, 0, 0
    gamma, symbol = np.int64(0), np.int64(0)
    while True:
      size = size1 + 1
      precision = -np.int64(cdf[start]) if phase == 0 else np.int64(1)
      target = (((value - base) & 0xFFFFFFFF) + 1) << precision
      if phase == 0:
        # First boundary that reaches the target.
        low, high = start + 2, stop - 1
        while low < high:
          middle = (low + high) >> 1
          if size * np.int64(cdf[middle]) >= target:
            high = middle
          else:
            low = middle + 1
        lower, upper = np.int64(cdf[low - 1]), np.int64(cdf[low])
        symbol = np.int64(low - start - 2)
      else:
        bit = np.int64(0) if size >= target else np.int64(1)
        lower, upper = bit, bit + 1
      a = (size * lower) >> precision
      b = ((size * upper) >> precision) - 1
      base = (base + a) & 0xFFFFFFFF
      size1 = b - a
      if size1 < 0:
        return False
      if size1 >> 16 == 0:
        base = (base << 16) & 0xFFFFFFFF
        size1 = (size1 << 16) | 0xFFFF
        for _ in range(2):
          value = (value << 8) & 0xFFFFFFFF
          if at < data.size:
            value |= np.int64(data[at])
          at += 1
      if phase == 0:
        if symbol != last:
          break
        phase = 1
      elif phase == 1:  # zeros, up to the leading one
        if bit == 0:
          prefix += 1
          if prefix > 31:
            return False
        else:
          gamma, remaining = np.int64(1), prefix
          phase = 2 if remaining else 3
      elif phase == 2:
        gamma = (gamma << 1) | bit
        remaining -= 1
        if remaining == 0:
          phase = 3
      else:
        symbol = -gamma if bit else gamma + last - 1
        break
    if symbol > 0x7FFFFFFF or symbol < -0x80000000:
      return False
    out[j] = symbol
  state[0], state[1], state[2], state[3] = at, value, base, size1
  return True


class _Engine:
  """Shifts symbols by their row's offset and checks the arguments."""

  name = ""

  def encode(
    self, tables: RangeTables, symbols: np.ndarray, indexes: np.ndarray
  ) -> bytes:
    """Codes int32 [n] symbols, each with the table of its index."""
    indexes = self._indexes(tables, indexes)
    symbols = np.asarray(symbols)
    if symbols.shape != indexes.shape:
      raise ValueError(
        f"symbols and indexes must agree, got {symbols.shape} and "
        f"{indexes.shape}."
      )
    if symbols.size == 0:
      return b""
    reach = int(np.abs(tables.cdf_offset).max())
    farthest = max(-int(symbols.min()), int(symbols.max())) + reach
    if farthest >= 2**30:
      raise ValueError(
        "symbols must lie within 2**30 of their table, got one up to "
        f"{farthest} away."
      )
    values = symbols.astype(np.int32)
    for part in bands(values.shape):
      values[part] -= tables.cdf_offset[indexes[part]]
    return self._encode(tables, values, indexes)

  def decode(
    self, tables: RangeTables, data: bytes, indexes: np.ndarray
  ) -> np.ndarray:
    """Decodes one symbol for each index: int32 [n].

    Damaged data give wrong symbols, or a CorruptStreamError; the caller has a
    check value.
    """
    return self.decoder(tables, data)(indexes)

  def decoder(
    self, tables: RangeTables, data: bytes
  ) -> Callable[[np.ndarray], np.ndarray]:
    """Opens a string: the result decodes the next symbols for their indexes.

    Called again and again it gives what one `decode` of all the indexes does.
    """
    read = None

    def next_symbols(indexes: np.ndarray) -> np.ndarray:
      nonlocal read
      indexes = self._indexes(tables, indexes)
      if indexes.size == 0:
        return np.zeros(0, np.int32)
      read = read or self._decoder(tables, data)
      # Wraps around where the data are damaged.
      return read(indexes) + tables.cdf_offset[indexes]

    return next_symbols

  def _indexes(self, tables, indexes):
    indexes = np.ascontiguousarray(indexes, np.int32)
    assert indexes.size == 0 or (
      indexes.min() >= 0 and indexes.max() < tables.cdf_offset.size
    )
    return indexes


class _Portable(_Engine):
  name = "portable"

  def _encode(self, tables, values, indexes):
    cdf = np.array(tables.cdf, np.int32)
    return _encode(cdf, tables.starts, values, indexes).tobytes()

  def _decoder(self, tables, data):
    coded = np.array(np.frombuffer(data, np.uint8))  # writable, as declared
    cdf = np.array(tables.cdf, np.int32)
    value = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    state = np.array([4, value, 0, 0xFFFFFFFF], np.int64)

    def read(indexes):
      out = np.empty(indexes.size, np.int32)
      if not _decode(cdf, tables.starts, coded, state, indexes, out):
        raise CorruptStreamError(
          "the coded data are damaged: an escape code has no end."
        )
      return out

    return read


class _Tfc(_Engine):
  name = "tfc"

  def __init__(self):
    try:
      from tensorflow_compression.python.ops import gen_ops
    except ImportError as error:
      raise ValueError(
        "engine 'tfc' needs tensorflow-compression, which is not installed "
        f"here ({error}); use --engine portable, the bytes are the same."
      ) from None
    self._ops = gen_ops

  def _encode(self, tables, values, indexes):
    ops = self._ops
    handle = ops.create_range_encoder([], tables.cdf)
    handle = ops.entropy_encode_index(handle, indexes, values)
    return ops.entropy_encode_finalize(handle).numpy()

  def _decoder(self, tables, data):
    import tensorflow as tf

    ops = self._ops
    handle = ops.create_range_decoder(data, tables.cdf)

    def read(indexes):
      nonlocal handle
      handle, values = ops.entropy_decode_index(
        handle, indexes, [indexes.size], tf.int32
      )
      return values.numpy()

    return read


def get_engine(name: str = "auto") -> _Engine:
  """An engine by name.

  Args:
    name: `portable`, `tfc`, or `auto`, which is portable: it starts in a
      fraction of TensorFlow's time and the bytes are the same.
  """
  engines = {"auto": _Portable, "portable": _Portable, "tfc": _Tfc}
  if name not in engines:
    raise ValueError(f"engine must be auto, tfc or portable, got {name!r}.")
  return engines[name]()
