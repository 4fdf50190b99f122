"""Chunks of a PNG that Pillow does not report, or refuses to read.

Pillow refuses a PNG with more than 1 MiB of text or profile, and only the whole
process can change that limit. So this file reads texts and the profile, and
Pillow gets the PNG without them.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib

START = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LIMIT = 2**24  # bytes of a text or profile, unpacked
XMP = b"XML:com.adobe.xmp"


@dataclasses.dataclass
class Png:
  """Of a PNG file.

  Attributes:
    pixels: the file without its texts and profile.
    bits: of a sample, or of an index into the palette.
    transparent: the samples that mean a transparent pixel: one of a gray file,
      three of a colour file; None where there are none.
    icc: the profile; empty where there is none.
    icc_damaged: whether there is one that cannot be unpacked.
    exif: a TIFF block.
    xmp: likewise.
    gamma: of gAMA, as 1 / 2.2 is common; 0 where there is none.
    chromaticities: of cHRM: x and y of white, red, green and blue.
    srgb: whether the file says that it is sRGB.
    cicp: primaries, transfer function, matrix and range, of cICP.
  """

  pixels: bytes
  bits: int = 8
  transparent: tuple[int, ...] | None = None
  icc: bytes = b""
  icc_damaged: bool = False
  exif: bytes = b""
  xmp: bytes = b""
  gamma: float = 0.0
  chromaticities: tuple[float, ...] | None = None
  srgb: bool = False
  cicp: tuple[int, ...] | None = None


def read(data: bytes) -> Png:
  """Reads the chunks; stops at one that is cut, which Pillow will tell."""
  chunks = Png(data)
  parts, kept, colour = [], 0, 0
  at = len(START)
  while at + 12 <= len(data):
    size, name = struct.unpack_from(">I4s", data, at)
    end = at + 12 + size
    if name in _TEXTS or name == b"iCCP":
      _read_text(chunks, name, data[at + 8 : end - 4])
      parts.append(memoryview(data)[kept:at])
      kept = end
    elif name == b"IHDR" and size == 13:
      chunks.bits, colour = data[at + 16], data[at + 17]
    elif name != b"IDAT" and size < _LIMIT:
      _read_small(chunks, name, data[at + 8 : end - 4], colour)
    at = end
  if parts:
    chunks.pixels = b"".join([*parts, memoryview(data)[kept:]])
  return chunks


def _read_small(chunks: Png, name: bytes, body: bytes, colour: int) -> None:
  if name == b"tRNS" and len(body) >= {0: 2, 2: 6}.get(colour, 2**31):
    count = 1 if colour == 0 else 3
    values = struct.unpack_from(f">{count}H", body)
    chunks.transparent = tuple(v & (2**chunks.bits - 1) for v in values)
  elif name == b"eXIf":
    chunks.exif = body
  elif name == b"gAMA" and len(body) == 4:
    chunks.gamma = int.from_bytes(body, "big") / 1e5
  elif name == b"cHRM" and len(body) == 32:
    chunks.chromaticities = tuple(v / 1e5 for v in struct.unpack(">8I", body))
  elif name == b"sRGB":
    chunks.srgb = True
  elif name == b"cICP" and len(body) == 4:
    chunks.cicp = tuple(body)


def _read_text(chunks: Png, name: bytes, body: bytes) -> None:
  """The profile, XMP and EXIF; other texts are left out."""
  keyword, _, content = body.partition(b"\0")
  if name == b"iCCP":
    chunks.icc = _inflate(content[1:])
    chunks.icc_damaged = not chunks.icc
  elif name == b"iTXt" and keyword == XMP and len(content) > 1:
    text = content[2:].split(b"\0", 2)[-1]
    chunks.xmp = _inflate(text) if content[0] else text
  elif keyword.startswith(b"Raw profile type "):  # as ImageMagick writes it
    text = content if name == b"tEXt" else _inflate(content[1:])
    try:
      block = bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
      return
    kind = keyword.rpartition(b" ")[2]
    if kind in (b"exif", b"APP1") and block.startswith(b"Exif\0\0"):
      chunks.exif = chunks.exif or block[6:]
    elif kind == b"xmp":
      chunks.xmp = chunks.xmp or block


def _inflate(data: bytes) -> bytes:
  """Empty where it is damaged or beyond the limit."""
  coder = zlib.decompressobj()
  try:
    out = coder.decompress(data, _LIMIT + 1)
  except zlib.error:
    return b""
  return out if coder.eof and len(out) <= _LIMIT else b""
