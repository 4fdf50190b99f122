"""Named arrays and what describes them in one file, in safetensors.

Each array lies there as bytes, DEFLATE over its byte planes (docs/format.md).
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

from sclc_jax.codec.images import write_whole

_KEY = "sclcm"


class DamagedTensorsError(ValueError):
  """Not a whole file of tensors; says what was found."""


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Any, dict[str, Any]]]:
  """(file, what describes its arrays and their layout)."""
  import safetensors

  try:
    with safetensors.safe_open(str(path), "numpy") as file:
      yield file, json.loads((file.metadata() or {})[_KEY])
  except (
    safetensors.SafetensorError, json.JSONDecodeError, KeyError, OSError,
    OverflowError, TypeError, zlib.error,
  ) as error:  # fmt: skip
    message = f"{type(error).__name__}: {error}"
    raise DamagedTensorsError(message) from error


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

  layout = {name: [a.dtype.str, a.shape] for name, a in tensors.items()}
  packed = {name: _pack(array) for name, array in tensors.items()}
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
      name: _unpack(tensors[name], np.dtype(kind), tuple(shape))
      for name, (kind, shape) in layout.items()
    }


def _pack(array: np.ndarray) -> np.ndarray:
  """Bytes [n] uint8: all first bytes of the numbers, then all second ones."""
  numbers = np.ascontiguousarray(array).reshape(-1, 1).view(np.uint8)
  return np.frombuffer(zlib.compress(numbers.T.tobytes()), np.uint8)


def _unpack(
  packed: np.ndarray, kind: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
  size = kind.itemsize * math.prod(max(n, 0) for n in shape)
  inflater = zlib.decompressobj()
  data = inflater.decompress(packed.tobytes(), size + 1)
  if (
    kind.kind not in "fiu"
    or min(shape, default=0) < 0
    or len(data) != size
    or not inflater.eof
  ):
    raise KeyError("tensors")
  planes = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
  return np.ascontiguousarray(planes.T).view(kind).reshape(shape)
