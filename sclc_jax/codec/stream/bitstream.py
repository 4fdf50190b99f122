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
ALPHA, QUALITY_MAP, ICC, EXIF = 1, 2, 3, 4
SECTION_NAMES = {
  ALPHA: "alpha",
  QUALITY_MAP: "quality_map",
  ICC: "icc",
  EXIF: "exif",
}
MAX_SIDE = 2**21 - 1


class DamagedFileError(ValueError):
  """The file is not what was written: cut, changed, or longer."""


@dataclasses.dataclass(frozen=True)
class Header:
  """What the file says about itself.

  `step` is the quality in 64ths of a level above 1, the highest where there is
  a quality map; `symbols_check` a CRC of the decoded symbols; `sections` are
  the kind and bytes of each.
  """

  fingerprint: bytes
  colour: int
  step: int
  height: int
  width: int
  z_bytes: int
  y_bytes: int
  symbols_check: int
  header_bytes: int = 0
  sections: tuple[tuple[int, int], ...] = ()

  @property
  def quality(self) -> float:
    """In [1, L]."""
    return 1 + self.step / 64


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


def pack(
  header: Header,
  z: bytes,
  y: bytes,
  sections: Mapping[int, bytes] | None = None,
) -> bytes:
  """The whole file; lengths are taken from `z`, `y` and `sections`."""
  parts = sorted((sections or {}).items())
  head = MAGIC + bytes([2 if parts else 1]) + header.fingerprint
  head += bytes([header.colour]) + header.step.to_bytes(2, "little")
  for value in (header.height, header.width, len(z), len(y)):
    head += _leb128(value)
  if parts:
    head += bytes([len(parts)])
    head += b"".join(bytes([k]) + _leb128(len(part)) for k, part in parts)
  head += header.symbols_check.to_bytes(2, "little")
  payload = b"".join([z, y, *(part for _, part in parts)])
  check = zlib.crc32(payload, zlib.crc32(head))
  return head + check.to_bytes(4, "little") + payload


def _read_sections(
  data: bytes, at: int
) -> tuple[tuple[tuple[int, int], ...], int]:
  cut = DamagedFileError("the file is cut inside its header; copy it again.")
  if at >= len(data):
    raise cut
  count, at = data[at], at + 1
  found: list[tuple[int, int]] = []
  for _ in range(count):
    if at >= len(data):
      raise cut
    kind = data[at]
    size, at = _read_leb128(data, at + 1)
    if kind not in SECTION_NAMES:
      raise DamagedFileError(
        f"the file has a section of kind {kind}, which this program does not "
        "know; update sclc_jax (or the file is damaged)."
      )
    if found and kind <= found[-1][0]:
      raise DamagedFileError(
        "the file's sections are out of order; it is damaged."
      )
    found.append((kind, size))
  if not found:
    raise DamagedFileError(
      "the file has format version 2 but no sections; it is damaged."
    )
  return tuple(found), at


def unpack_header(data: bytes) -> Header:
  """Reads the header alone; checks magic and version, not the payload."""
  if not data:
    raise DamagedFileError("the file is empty.")
  if data[:3] != MAGIC:
    kind = "a PNG image" if data[:4] == b"\x89PNG" else "something else"
    raise DamagedFileError(
      f"this is not an .sclc file but {kind}; "
      "make one with 'sclc compress IMAGE'."
    )
  if len(data) < 4:
    raise DamagedFileError("the file is cut inside its header; copy it again.")
  if data[3] > VERSION or data[3] == 0:
    raise DamagedFileError(
      f"the file has format version {data[3]}, this program reads up to "
      f"{VERSION}; update sclc_jax (or the file is damaged)."
    )
  if len(data) < 13:
    raise DamagedFileError("the file is cut inside its header; copy it again.")
  colour, step = data[10], int.from_bytes(data[11:13], "little")
  at = 13
  values = []
  for _ in range(4):
    value, at = _read_leb128(data, at)
    values.append(value)
  sections: tuple[tuple[int, int], ...] = ()
  if data[3] == 2:
    sections, at = _read_sections(data, at)
  if at + 6 > len(data):
    raise DamagedFileError("the file is cut inside its header; copy it again.")
  if colour > GRAY:
    raise DamagedFileError(
      f"the file has colour mode {colour}, which does not exist; it is damaged."
    )
  symbols = int.from_bytes(data[at : at + 2], "little")
  return Header(data[4:10], colour, step, *values, symbols, at + 6, sections)


def unpack(data: bytes) -> tuple[Header, bytes, bytes]:
  """Reads and checks the whole file: (header, coded z, coded y)."""
  header = unpack_header(data)
  at = header.header_bytes
  end = at + header.z_bytes + header.y_bytes
  end += sum(size for _, size in header.sections)
  if len(data) < end:
    raise DamagedFileError(
      f"the file is cut: {len(data)} of {end} bytes; copy it again."
    )
  if len(data) > end:
    raise DamagedFileError(
      f"the file goes on for {len(data) - end} bytes after its end; "
      "it is damaged."
    )
  check = zlib.crc32(data[at:], zlib.crc32(data[: at - 4]))
  if check != int.from_bytes(data[at - 4 : at], "little"):
    raise DamagedFileError(
      "the file is damaged (its check value differs); copy it again."
    )
  if not (1 <= header.height <= MAX_SIDE and 1 <= header.width <= MAX_SIDE):
    raise DamagedFileError(
      f"the file declares {header.width}x{header.height} pixels; it is damaged."
    )
  middle = at + header.z_bytes
  return header, data[at:middle], data[middle : middle + header.y_bytes]


def read_sections(header: Header, data: bytes) -> dict[int, bytes]:
  """Content of each section, by kind, of a file that `unpack` has checked."""
  at = header.header_bytes + header.z_bytes + header.y_bytes
  found = {}
  for kind, size in header.sections:
    found[kind] = data[at : at + size]
    at += size
  return found
