"""EXIF and XMP: reads the orientation, and corrects both after turning.

Only the bytes that have to change are changed. All others stay as the camera
wrote them, damaged ones too.
"""

from __future__ import annotations

import re
import struct

import numpy as np

from sclc_jax.images.png import Png

ORIENTATION = 274
_WIDTH, _HEIGHT = 256, 257
_EXIF_DIRECTORY = 0x8769
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_THUMBNAIL, _THUMBNAIL_BYTES = 0x201, 0x202
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_FORMATS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
_XMP_VALUE = rb"\s*(?:=\s*[\"']|>)\s*)"  # of an attribute or an element
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation" + _XMP_VALUE + rb"([1-8])")
# Tags of a TIFF that are no EXIF: how it is stored, XMP and the profile.
_TIFF_LAYOUT = frozenset(
  (254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322,
   323, 324, 325, 338, 339, 700, 34675)
)  # fmt: skip
# Orientation to (swap the axes, reverse the rows, reverse the columns).
_TURNS = {
  1: (False, False, False),
  2: (False, False, True),
  3: (False, True, True),
  4: (False, True, False),
  5: (True, False, False),
  6: (True, False, True),
  7: (True, True, True),
  8: (True, True, False),
}


def first_directory(block: bytes) -> int:
  """Where the first directory of a TIFF block lies."""
  if block[:4] not in _ORDERS or len(block) < 8:
    raise ValueError("it does not start as a TIFF block does")
  return struct.unpack_from(_ORDERS[block[:4]] + "I", block, 4)[0]


def _fields(block: bytes, at: int) -> tuple[dict[int, tuple[int, str]], int]:
  """Whole numbers of a directory: {tag: (place, format)}, and its end.

  Of a directory that is cut, those before the cut; its end is then beyond that
  of the block. All other tags have the format "".
  """
  order = _ORDERS[block[:4]]
  if at + 2 > len(block):
    return {}, at + 2
  (count,) = struct.unpack_from(order + "H", block, at)
  fields = {}
  for entry in range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12):
    tag, kind, values = struct.unpack_from(order + "HHI", block, entry)
    single = values == 1 and kind in _FORMATS
    fields[tag] = (entry + 8, order + _FORMATS[kind] if single else "")
  return fields, at + 2 + 12 * count


def read(block: bytes, at: int) -> dict[int, int]:
  """Whole numbers of a directory by tag; 0 for all that is something else."""
  return {
    tag: struct.unpack_from(form, block, offset)[0] if form else 0
    for tag, (offset, form) in _fields(block, at)[0].items()
  }


def orientation(block: bytes, xmp: bytes = b"") -> int:
  """1 to 8, whatever else in the block is damaged; XMP's where it has none."""
  try:
    value = read(block, first_directory(block)).get(ORIENTATION, 0)
  except ValueError:
    value = 0
  if value not in _TURNS:
    match = _XMP_ORIENTATION.search(xmp)
    value = int(match[2]) if match else 1
  return value


def turn(pixels: np.ndarray, value: int) -> np.ndarray:
  """[H, W, ...] as it is to be seen, for an orientation of 1 to 8."""
  swap, rows, columns = _TURNS[value]
  if swap:
    pixels = pixels.swapaxes(0, 1)
  return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def is_whole(block: bytes) -> bool:
  """Whether the first directory can be read to its end."""
  try:
    return _fields(block, first_directory(block))[1] <= len(block)
  except ValueError:
    return False


def upright(data: bytes) -> bytes:
  """A TIFF file that says that it need not be turned."""
  if orientation(data) == 1:
    return data
  out = bytearray(data)
  _put(out, _fields(data, first_directory(data))[0], {ORIENTATION: 1})
  return bytes(out)


def turned(block: bytes, value: int, width: int, height: int) -> bytes:
  """A whole block after its picture was turned.

  The orientation is 1, the size is that of the picture, and the thumbnail,
  which was not turned, is taken out. Empty if nothing but the orientation was
  in it.

  Args:
    block: of which `is_whole` is true.
    value: the orientation that was applied, 1 to 8.
    width: of the picture as it is now.
    height: likewise.
  """
  out = bytearray(block)
  fields, end = _fields(block, first_directory(block))
  link = _number(block, end)
  if set(fields) <= {ORIENTATION} and not link:
    return b""
  _put(out, fields, {ORIENTATION: 1})
  if value > 1 and link:
    _drop_thumbnail(out, end, link)
  if value > 4:
    _put(out, fields, {_WIDTH: width, _HEIGHT: height})
    at = read(block, first_directory(block)).get(_EXIF_DIRECTORY, 0)
    if at:
      inner = _fields(block, at)[0]
      _put(out, inner, {_PIXEL_WIDTH: width, _PIXEL_HEIGHT: height})
  return bytes(out)


def _number(block: bytes, at: int) -> int:
  """A LONG, 0 beyond the end."""
  part = block[at : at + 4]
  return struct.unpack(_ORDERS[block[:4]] + "I", part)[0] if part[3:] else 0


def _put(out: bytearray, fields, values: dict[int, int]) -> None:
  """Writes numbers over those that are there and have room for them."""
  for tag, value in values.items():
    offset, form = fields.get(tag, (0, ""))
    if form and value < 256 ** struct.calcsize(form):
      struct.pack_into(form, out, offset, value)


def _drop_thumbnail(out: bytearray, end: int, link: int) -> None:
  block = bytes(out)
  numbers = read(block, link)
  at, size = (numbers.get(t, 0) for t in (_THUMBNAIL, _THUMBNAIL_BYTES))
  if link < at and at + size <= len(out):
    out[at : at + size] = bytes(size)
  out[end : end + 4] = bytes(4)


def turned_xmp(xmp: bytes, value: int, width: int, height: int) -> bytes:
  """XMP after its picture was turned; arguments as of `turned`."""
  xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
  if value > 4:
    for names, number in (
      (rb"exif:PixelXDimension|tiff:ImageWidth", width),
      (rb"exif:PixelYDimension|tiff:ImageLength", height),
    ):
      pattern = rb"((?:" + names + rb")" + _XMP_VALUE + rb"\d+"
      xmp = re.sub(pattern, rb"\g<1>" + str(number).encode(), xmp)
  return xmp


def blocks(image, chunks: Png | None, notes: list[str]) -> tuple[bytes, bytes]:
  """(EXIF, XMP), as they lie in the file.

  Args:
    image: of Pillow, or None.
    chunks: of a PNG.
    notes: gets one where a TIFF's tags are damaged.
  """
  if image is None:
    return b"", b""
  if chunks is not None:
    return chunks.exif, chunks.xmp
  xmp = image.info.get("xmp", b"")
  xmp = xmp.encode() if isinstance(xmp, str) else xmp
  if image.format != "TIFF":
    return image.info.get("exif", b"").removeprefix(b"Exif\0\0"), xmp
  try:  # a TIFF's EXIF lies among the tags that say how its pixels are stored
    tags = image.getexif()
    for tag in (ORIENTATION, *_TIFF_LAYOUT):
      tags.pop(tag, None)
    block = tags.tobytes().removeprefix(b"Exif\0\0") if len(tags) else b""
  except Exception:  # whatever Pillow's parsers meet
    notes.append("its EXIF is damaged and is left out")
    block = b""
  return block, xmp
