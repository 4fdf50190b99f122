"""The .sclc file: a header, coded z, coded y.

    3  b"SCL"
    1  version
    6  fingerprint of the model
    1  colour mode: 0 RGB, 1 gray
    2  quality in 64ths of a level above 1, little endian
    .  height, width, bytes of z, bytes of y: LEB128
    .  version 2: how many sections, then kind (1) and bytes (LEB128) of each
    2  check of the decoded symbols: low half of the CRC-32 of z, then y
    4  check of the file: CRC-32 of everything before and after it
    .  coded z, coded y, the sections

All else (model width, tables) is in the model. At most 32 bytes beside the
coded strings for images below 2**21 pixels a side, and 8 more a section. A
file without sections has version 1; kinds rise, so each occurs once.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping

import numpy as np

MAGIC = b"SCL"
VERSION = 2
FINGERPRINT_BYTES = 6
RGB, GRAY = 0, 1
ALPHA, QUALITY_MAP, ICC, EXIF, XMP = 1, 2, 3, 4, 5
SECTION_NAMES = {
  ALPHA: "alpha",
  QUALITY_MAP: "quality_map",
  ICC: "icc",
  EXIF: "exif",
  XMP: "xmp",
}
MAX_SIDE = 2**21 - 1


class DamagedFileError(ValueError):
  """The file is not what was written: cut, changed, or longer."""


@dataclasses.dataclass(frozen=True)
class Header:
  """What the file says about the picture.

  Attributes:
    fingerprint: of the model.
    colour: RGB or GRAY.
    q: quality in 64ths of a level above 1, the highest where there is a
      quality map.
    height: pixels.
    width: pixels.
    symbols_check: see the function of this name.
  """

  fingerprint: bytes
  colour: int
  q: int
  height: int
  width: int
  symbols_check: int

  @property
  def quality(self) -> float:
    """In [1, L]."""
    return 1 + self.q / 64


@dataclasses.dataclass(frozen=True)
class File(Header):
  """A whole file: the header, coded z, coded y, and the sections by kind."""

  z: bytes
  y: bytes
  sections: Mapping[int, bytes] = dataclasses.field(default_factory=dict)


def symbols_check(z: np.ndarray, y: np.ndarray) -> int:
  """Low 16 bits of the CRC-32 of z and y as little-endian int32.

  It only has to tell disagreement, after the file's own check has passed.
  """
  crc = zlib.crc32(np.ascontiguousarray(z, "<i4"))
  return zlib.crc32(np.ascontiguousarray(y, "<i4"), crc) & 0xFFFF


def _leb128(value: int) -> bytes:
  out = bytearray()
  while True:
    out.append((value & 127) | (128 if value > 127 else 0))
    value >>= 7
    if not value:
      return bytes(out)


def _read_leb128(data: bytes, at: int) -> tuple[int, int]:
  value = 0
  for i in range(5):
    if at + i >= len(data):
      raise DamagedFileError(
        "the file is cut inside its header; copy it again."
      )
    value |= (data[at + i] & 127) << (7 * i)
    if data[at + i] < 128:
      return value, at + i + 1
  raise DamagedFileError("the file's header is damaged; copy it again.")


def pack(file: File) -> bytes:
  """The bytes of a file."""
  parts = sorted(file.sections.items())
  head = MAGIC + bytes([2 if parts else 1]) + file.fingerprint
  head += bytes([file.colour]) + file.q.to_bytes(2, "little")
  for value in (file.height, file.width, len(file.z), len(file.y)):
    head += _leb128(value)
  if parts:
    head += bytes([len(parts)])
    head += b"".join(bytes([k]) + _leb128(len(part)) for k, part in parts)
  head += file.symbols_check.to_bytes(2, "little")
  payload = b"".join([file.z, file.y, *(part for _, part in parts)])
  check = zlib.crc32(payload, zlib.crc32(head))
  return head + check.to_bytes(4, "little") + payload


def _cut_header() -> DamagedFileError:
  return DamagedFileError("the file is cut inside its header; copy it again.")


def _read_section_sizes(data: bytes, at: int) -> tuple[dict[int, int], int]:
  """(bytes of each section by kind, where what follows starts)."""
  if at >= len(data):
    raise _cut_header()
  count, at = data[at], at + 1
  sizes: dict[int, int] = {}
  for _ in range(count):
    if at >= len(data):
      raise _cut_header()
    kind = data[at]
    size, at = _read_leb128(data, at + 1)
    if kind not in SECTION_NAMES:
      raise DamagedFileError(
        f"the file has a section of kind {kind}, which this program does not "
        "know; update sclc_jax (or the file is damaged)."
      )
    if kind <= max(sizes, default=0):
      raise DamagedFileError(
        "the file's sections are out of order; it is damaged."
      )
    sizes[kind] = size
  if not sizes:
    raise DamagedFileError(
      "the file has format version 2 but no sections; it is damaged."
    )
  return sizes, at


@dataclasses.dataclass(frozen=True)
class _Layout:
  """Bytes of the header, of coded z and y, and of each section by kind."""

  header: int
  z: int
  y: int
  sections: Mapping[int, int]


def _check_start(data: bytes) -> None:
  """Raises an error unless this is a file of a version that we read."""
  if not data:
    raise DamagedFileError("the file is empty.")
  if data[:3] != MAGIC:
    kind = "a PNG image" if data[:4] == b"\x89PNG" else "something else"
    raise DamagedFileError(
      f"this is not an .sclc file but {kind}; "
      "make one with 'sclc compress IMAGE'."
    )
  if len(data) < 4:
    raise _cut_header()
  if data[3] > VERSION or data[3] == 0:
    raise DamagedFileError(
      f"the file has format version {data[3]}, this program reads up to "
      f"{VERSION}; update sclc_jax (or the file is damaged)."
    )


def _read_header(data: bytes) -> tuple[Header, _Layout]:
  _check_start(data)
  if len(data) < 13:
    raise _cut_header()
  colour, q = data[10], int.from_bytes(data[11:13], "little")
  at = 13
  values = []
  for _ in range(4):
    value, at = _read_leb128(data, at)
    values.append(value)
  height, width, z_bytes, y_bytes = values
  sections: dict[int, int] = {}
  if data[3] == 2:
    sections, at = _read_section_sizes(data, at)
  if at + 6 > len(data):
    raise _cut_header()
  if colour > GRAY:
    raise DamagedFileError(
      f"the file has colour mode {colour}, which does not exist; it is damaged."
    )
  check = int.from_bytes(data[at : at + 2], "little")
  header = Header(data[4:10], colour, q, height, width, check)
  return header, _Layout(at + 6, z_bytes, y_bytes, sections)


def unpack_header(data: bytes) -> Header:
  """Reads the header alone; checks magic and version, not what follows."""
  return _read_header(data)[0]


def describe(data: bytes) -> dict:
  """What the header alone tells, without a look at what follows it."""
  header, layout = _read_header(data)
  return {
    "bytes": len(data),
    "width": header.width,
    "height": header.height,
    "colour": "gray" if header.colour == GRAY else "rgb",
    "quality": header.quality,
    "model": header.fingerprint.hex(),
    "header_bytes": layout.header,
    "z_bytes": layout.z,
    "y_bytes": layout.y,
    **{
      f"{SECTION_NAMES[kind]}_bytes": size
      for kind, size in layout.sections.items()
    },
    "bpp": 8 * len(data) / max(1, header.width * header.height),
  }


def unpack(data: bytes) -> File:
  """Reads and checks a whole file.

  Raises:
    DamagedFileError: it is not whole; says what is wrong.
  """
  header, layout = _read_header(data)
  start = layout.header
  sizes = [layout.z, layout.y, *layout.sections.values()]
  end = start + sum(sizes)
  if len(data) < end:
    raise DamagedFileError(
      f"the file is cut: {len(data)} of {end} bytes; copy it again."
    )
  if len(data) > end:
    raise DamagedFileError(
      f"the file goes on for {len(data) - end} bytes after its end; "
      "it is damaged."
    )
  check = zlib.crc32(data[start:], zlib.crc32(data[: start - 4]))
  if check != int.from_bytes(data[start - 4 : start], "little"):
    raise DamagedFileError(
      "the file is damaged (its check value differs); copy it again."
    )
  if not (1 <= header.height <= MAX_SIDE and 1 <= header.width <= MAX_SIDE):
    raise DamagedFileError(
      f"the file declares {header.width}x{header.height} pixels; it is damaged."
    )
  stops = np.cumsum([start, *sizes])
  z, y, *sections = (data[a:b] for a, b in zip(stops[:-1], stops[1:]))
  return File(
    **dataclasses.asdict(header), z=z, y=y,
    sections=dict(zip(layout.sections, sections)),
  )  # fmt: skip
