"""Named arrays and their description in one safetensors file.

DEFLATE packs the byte planes of each array. Tables are stored as differences
between neighbouring rows (docs/format.md).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sclc_jax.files import write_whole

_KEY = "sclcm"
_MAX_ORDER = 3


class DamagedTensorsError(ValueError):
  """Not a whole file of tensors; says what is wrong."""


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Any, dict[str, Any]]]:
  """(file, what describes its arrays and their layout)."""
  import safetensors

  try:
    with safetensors.safe_open(str(path), "numpy") as file:
      yield file, json.loads((file.metadata() or {})[_KEY])
  except (
    safetensors.SafetensorError, AttributeError, KeyError, OSError,
    OverflowError, SyntaxError, TypeError, ValueError, zlib.error,
  ) as error:  # fmt: skip
    message = f"{type(error).__name__}: {error}"
    raise DamagedTensorsError(message) from error


@contextlib.contextmanager
def checked(path: str | os.PathLike) -> Iterator[None]:
  """Whatever is wrong with a model's file is a ValueError that names it."""
  if not os.path.isfile(path):
    raise ValueError(
      f"there is no model file {path}; 'sclc models' lists the shipped ones, "
      "'sclc export' makes one from a training run."
    )
  try:
    yield
  except (DamagedTensorsError, KeyError, TypeError) as error:
    raise ValueError(
      f"{path} is not a whole .sclcm model ({type(error).__name__}: {error}); "
      "copy or export it again."
    ) from None


def read_fingerprint(path: str | os.PathLike) -> bytes:
  """The fingerprint that a model's file states.

  Raises:
    ValueError: the file is missing, damaged or another.
  """
  with checked(path):
    return bytes.fromhex(read_about(path)["fingerprint"])


def write_tensors(
  path: str | os.PathLike, about: dict[str, Any], tensors: dict[str, np.ndarray]
) -> None:
  """Writes a file, whole or not at all.

  Args:
    path: of the file.
    about: what JSON can hold, without the key `tensors`.
    tensors: arrays of numbers by name.
  """
  import safetensors.numpy

  layout, packed = {}, {}
  for name, array in tensors.items():
    order, packed[name] = min(
      ((order, _pack(array, order)) for order in _orders(array)),
      key=lambda candidate: candidate[1].size,
    )
    layout[name] = [array.dtype.str, array.shape, *[order] * (order > 0)]
  header = json.dumps(about | {"tensors": layout}, sort_keys=True)
  write_whole(path, safetensors.numpy.save(packed, {_KEY: header}))


def read_about(path: str | os.PathLike) -> dict[str, Any]:
  """What describes the arrays; errors as `read_tensors`."""
  with _opened(path) as (_, about):
    about.pop("tensors", None)
  return about


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays by name.

  Raises:
    DamagedTensorsError: the file is missing, damaged or another.
  """
  with _opened(path) as (file, about):
    tensors = {name: file.get_tensor(name) for name in file.keys()}
    layout = about.get("tensors")
    if layout is None:  # the first versions have arrays as they are
      return tensors
    return {
      name: _unpack(tensors[name], np.dtype(kind), tuple(shape), *order)
      for name, (kind, shape, *order) in layout.items()
    }


def _orders(array: np.ndarray) -> range:
  """Orders of differences to try: tables [..., rows, C] have smooth columns."""
  is_table = array.ndim in (2, 3) and array.dtype.itemsize == 4
  return range(_MAX_ORDER + 1 if is_table else 1)


def _pack(array: np.ndarray, order: int) -> np.ndarray:
  """Bytes [n] uint8: all first bytes of the numbers, then all second ones."""
  if order:
    array = np.ascontiguousarray(array).view(np.uint32)
    for _ in range(order):
      array = np.concatenate(
        [array[..., :1, :], np.diff(array, axis=-2)], axis=-2
      )
  numbers = np.ascontiguousarray(array).reshape(-1, 1).view(np.uint8)
  return np.frombuffer(zlib.compress(numbers.T.tobytes()), np.uint8)


def _unpack(
  packed: np.ndarray,
  kind: np.dtype,
  shape: tuple[int, ...],
  order: int = 0,
) -> np.ndarray:
  size = kind.itemsize * math.prod(max(n, 0) for n in shape)
  inflater = zlib.decompressobj()
  data = inflater.decompress(packed.tobytes(), size + 1)
  if (
    kind.kind not in "fiu"
    or min(shape, default=0) < 0
    or type(order) is not int
    or order not in range(_MAX_ORDER + 1)
    or (order and (kind.itemsize != 4 or len(shape) < 2))
    or len(data) != size
    or not inflater.eof
  ):
    raise KeyError("tensors")
  planes = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
  numbers = np.ascontiguousarray(planes.T)
  if order:
    numbers = numbers.view(np.uint32).reshape(shape)
    for _ in range(order):  # sums wrap around, as the differences did
      numbers = np.cumsum(numbers, axis=-2, dtype=np.uint32)
  return numbers.view(kind).reshape(shape)
