"""Sections that a file may have beside the picture: alpha and metadata.

Both are lossless, by deflate (zlib). The header gives the size of alpha, and
metadata has a limit, so hostile sections cannot expand without bound.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np

from sclc_jax.codec.stream import bitstream

MAX_METADATA = 2**24  # bytes, each of ICC profile, EXIF and XMP
METADATA = {
  "icc": bitstream.ICC,
  "exif": bitstream.EXIF,
  "xmp": bitstream.XMP,
}
_CONSTANT = 255


def _sub(plane: np.ndarray) -> np.ndarray:
  """Differences to the left neighbour, modulo 256."""
  out = plane.copy()
  out[:, 1:] -= plane[:, :-1]
  return out


def _up(plane: np.ndarray) -> np.ndarray:
  out = plane.copy()
  out[1:] -= plane[:-1]
  return out


def _gradient(plane: np.ndarray) -> np.ndarray:
  return _up(_sub(plane))


def _sum_rows(plane: np.ndarray) -> np.ndarray:
  return np.cumsum(plane, 1, np.uint8)


def _sum_columns(plane: np.ndarray) -> np.ndarray:
  return np.cumsum(plane, 0, np.uint8)


def _sum_both(plane: np.ndarray) -> np.ndarray:
  return _sum_rows(_sum_columns(plane))


# Filters like PNG's, for the whole plane, and their inverses.
_Filter = Callable[[np.ndarray], np.ndarray]
_FILTERS: tuple[tuple[_Filter, _Filter], ...] = (
  (lambda plane: plane, lambda plane: plane),
  (_sub, _sum_rows),
  (_up, _sum_columns),
  (_gradient, _sum_both),
)


def encode_alpha(alpha: np.ndarray) -> bytes:
  """Codes a plane without loss.

  A byte says which filter (the one that deflates best) the deflated plane went
  through, or that the byte behind it fills the plane.

  Args:
    alpha: uint8 [H, W].
  """
  if alpha.min() == alpha.max():
    return bytes([_CONSTANT, alpha[0, 0]])
  sizes = [len(_deflate(forward(alpha), level=1)) for forward, _ in _FILTERS]
  best = int(np.argmin(sizes))
  return bytes([best]) + _deflate(_FILTERS[best][0](alpha), level=9)


def decode_alpha(data: bytes, height: int, width: int) -> np.ndarray:
  """uint8 [H, W]; raises DamagedFileError."""
  if len(data) == 2 and data[0] == _CONSTANT:
    return np.full((height, width), data[1], np.uint8)
  if not data or data[0] >= len(_FILTERS):
    raise bitstream.DamagedFileError(
      "the file's alpha has an unknown filter; it is damaged."
    )
  plane = _inflate(data[1:], height * width, "alpha")
  if len(plane) != height * width:
    raise bitstream.DamagedFileError(
      f"the file's alpha has {len(plane)} of {height * width} values; it is "
      "damaged."
    )
  residual = np.frombuffer(plane, np.uint8).reshape(height, width)
  return _FILTERS[data[0]][1](residual)


def read_alpha(file: bitstream.File) -> np.ndarray | None:
  """Alpha of a file, uint8 [H, W], if it has some."""
  if bitstream.ALPHA not in file.sections:
    return None
  part = file.sections[bitstream.ALPHA]
  return decode_alpha(part, file.height, file.width)


def encode_metadata(metadata: Mapping[str, bytes]) -> dict[int, bytes]:
  """Sections of the non-empty entries.

  Args:
    metadata: `icc`, an ICC profile; `exif`, a TIFF block without the prefix
      "Exif"; and `xmp`, a packet of XMP.
  """
  sections = {}
  for name, value in metadata.items():
    if name not in METADATA:
      raise ValueError(
        f"metadata is one of {', '.join(METADATA)}, got {name!r}."
      )
    if len(value) > MAX_METADATA:
      raise ValueError(
        f"the {name} has {len(value)} bytes, {MAX_METADATA} can be kept; "
        "compress without metadata."
      )
    if value:
      sections[METADATA[name]] = _deflate(value, level=9)
  return sections


def decode_metadata(sections: Mapping[int, bytes]) -> dict[str, bytes]:
  """`icc`, `exif` and `xmp`, those that are there; raises DamagedFileError."""
  return {
    name: _inflate(sections[kind], MAX_METADATA, name)
    for name, kind in METADATA.items()
    if kind in sections
  }


def _deflate(data, level: int) -> bytes:
  coder = zlib.compressobj(level, wbits=-15)
  if isinstance(data, np.ndarray):
    data = np.ascontiguousarray(data)
  return coder.compress(data) + coder.flush()


def _inflate(data: bytes, limit: int, name: str) -> bytes:
  """At most `limit` bytes, or an error."""
  coder = zlib.decompressobj(wbits=-15)
  try:
    content = coder.decompress(data, limit + 1)
  except zlib.error as error:
    raise bitstream.DamagedFileError(
      f"the file's {name} is damaged ({error}); copy it again."
    ) from None
  if len(content) > limit or not coder.eof or coder.unused_data:
    raise bitstream.DamagedFileError(
      f"the file's {name} is not of its declared size; it is damaged."
    )
  return content
