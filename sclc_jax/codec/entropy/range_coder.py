"""Symbols to bytes and back: two engines, one byte format.

The format is that of tensorflow-compression (TFC): a carry-propagating range
coder (Martin 1979) of 32-bit state that emits 16 bits at a time, with an
Elias-gamma escape for symbols outside their table. `tfc` calls TFC; `portable`
is our own, for where TFC cannot be installed. Numba compiles it, but for the
first symbols of a process: it takes 1.5 s to load, and Python codes those of a
photo in a fraction of that.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable

import numpy as np

from sclc_jax.codec.entropy import coding_loops
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


class Loops:
  """The loops of the portable engine: as Python first, compiled later on.

  Attributes:
    patience: symbols that are left for Python.

  Args:
    patience: of a process, in symbols.
  """

  def __init__(self, patience: int):
    self.patience = patience
    self._lock = threading.Lock()
    self._compiled = None

  def compiled_for(self, count: int) -> tuple[Callable, Callable] | None:
    """Compiled `encode` and `decode`; None where Python will do for `count`."""
    with self._lock:
      self.patience -= count
      if self.patience >= 0:
        return None
      if self._compiled is None:
        self._compiled = _compile()
      return self._compiled


def _compile() -> tuple[Callable, Callable]:
  import numba

  def compiled(signature: str, loop: Callable) -> Callable:
    return numba.njit(signature, cache=True, nogil=True)(loop)

  return (
    compiled("uint8[:](int32[:], int64[:], int32[:], int32[:])",
             coding_loops.encode),
    compiled(
      "boolean(int32[:], int64[:], uint8[:], int64[:], int32[:], int32[:])",
      coding_loops.decode,
    ),
  )  # fmt: skip


_PATIENCE = 2**20  # symbols; Python takes 0.6 to 2 microseconds for each
_loops = Loops(_PATIENCE)


class _Portable(_Engine):
  name = "portable"

  def __init__(self, loops: Loops | None = None):
    self._loops = _loops if loops is None else loops

  def _encode(self, tables, values, indexes):
    compiled = self._loops.compiled_for(values.size)
    if compiled is None:
      lists = (a.tolist() for a in (tables.cdf, tables.starts, values, indexes))
      return coding_loops.encode(*lists).tobytes()
    cdf = np.array(tables.cdf, np.int32)
    return compiled[0](cdf, tables.starts, values, indexes).tobytes()

  def _decoder(self, tables, data):
    state = [4, int.from_bytes(data[:4].ljust(4, b"\0"), "big"), 0, 0xFFFFFFFF]
    coded = np.array(np.frombuffer(data, np.uint8))  # writable, as declared
    cdf = np.array(tables.cdf, np.int32)
    lists = cdf.tolist(), tables.starts.tolist()

    def read(indexes):
      compiled = self._loops.compiled_for(indexes.size)
      if compiled is None:
        out = [0] * indexes.size
        whole = coding_loops.decode(*lists, data, state, indexes.tolist(), out)
      else:
        out = np.empty(indexes.size, np.int32)
        now = np.array(state, np.int64)
        whole = compiled[1](cdf, tables.starts, coded, now, indexes, out)
        state[:] = now.tolist()
      if not whole:
        raise CorruptStreamError(
          "the coded data are damaged: an escape code has no end."
        )
      return np.asarray(out, np.int32)

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
