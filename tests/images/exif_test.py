"""Orientation and metadata, whatever else in them is damaged."""

import io
import struct

import numpy as np
import pictures
import pytest
from PIL import Image, ImageOps

from sclc_jax.images import exif, load_photo, load_rgb, png_bytes

_ODD = pictures.ramp(3, 8)[:9, :14] // 4 + 60
_XMP = (
  b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/'
  b'1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com'
  b'/tiff/1.0/" tiff:Orientation="6" exif:PixelXDimension="14" '
  b"exif:PixelYDimension='9'><dc:title>\xc3\xa4</dc:title></rdf:Description>"
  b"</rdf:RDF></x:xmpmeta>"
)


def block(order: str, *entries, inner=(), thumbnail: bytes = b"") -> bytes:
  """A TIFF block of entries (tag, type, count, value or 4 bytes)."""

  def directory(rows, link: int = 0) -> bytes:
    out = struct.pack(order + "H", len(rows))
    for tag, kind, count, value in rows:
      form = {3: "H2x", 4: "I"}.get(kind)
      raw = value if form is None else struct.pack(order + form, value)
      out += struct.pack(order + "HHI", tag, kind, count) + raw
    return out + struct.pack(order + "I", link)

  entries = list(entries)
  start = 8 + 2 + 12 * (len(entries) + bool(inner)) + 4
  if inner:
    entries.append((0x8769, 4, 1, start))
  second = directory(inner) if inner else b""
  third = b""
  link = 0
  if thumbnail:
    link = start + len(second)
    at = link + 2 + 12 * 3 + 4
    third = directory([(274, 3, 1, 6), (0x201, 4, 1, at),
                       (0x202, 4, 1, len(thumbnail))])  # fmt: skip
  head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
  return head + directory(entries, link) + second + third + thumbnail


def _saved(kind: str, exif_block: bytes, **options) -> bytes:
  if kind == "WEBP":
    options["lossless"] = True
  return pictures.saved(_ODD, kind, exif=b"Exif\0\0" + exif_block, **options)


@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_turns_as_pillow_turns(value):
  image = Image.fromarray(_ODD)
  image.getexif()[exif.ORIENTATION] = value
  wanted = np.asarray(ImageOps.exif_transpose(image))
  np.testing.assert_array_equal(exif.turn(_ODD, value), wanted)


# A rational -1/0, a directory beyond the end, a value beyond the end, an
# unknown type, and a tag whose count is absurd.
_BAD = [
  (282, 10, 1, struct.pack("<I", 38)),
  (0x8769, 4, 1, 9999),
  (270, 2, 500, struct.pack("<I", 2**31)),
  (283, 99, 1, b"junk"),
  (306, 2, 2**32 - 1, b"junk"),
]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bad", range(len(_BAD)))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_orientation_applies_beside_a_damaged_tag(kind, bad, order):
  damaged = block(order, (274, 3, 1, 6), _BAD[bad]) + struct.pack("<ii", -1, 0)
  if kind == "AVIF":  # Pillow turns the orientation into a box of the file
    plain = _saved(kind, block(order, (274, 3, 1, 6)))
  else:
    plain = _saved(kind, damaged)
  photo = load_photo(plain)
  assert photo.image.shape == (14, 9, 3)
  assert load_rgb(plain).shape == (14, 9, 3)
  stored = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
  np.testing.assert_array_equal(photo.image, np.rot90(stored, -1))


def test_a_jpeg_with_a_rational_of_minus_one_by_zero_is_turned():
  data = pictures.saved(_ODD, "JPEG")
  bad = struct.pack("<HHIIIii", 282, 10, 1, 38, 0, -1, 0)
  ifd = struct.pack("<HHHIHH", 2, 274, 3, 1, 6, 0) + bad
  part = b"Exif\0\0II*\0\x08\0\0\0" + ifd
  head = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(part) + 2)
  data = head + part + data[2:]
  assert load_photo(data).image.shape == (14, 9, 3)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 16])
def test_orientation_of_a_tiff_applies_beside_a_damaged_tag(bits, planes):
  samples = pictures.ramp(3, bits)[:9, :14]
  stored = samples if planes == "contig" else np.moveaxis(samples, 2, 0)
  data = pictures.tiff(
    stored, photometric="rgb", planarconfig=planes, resolution=(72, 72),
    extratags=[(274, 3, 1, 8, True)],
  )  # fmt: skip
  at = data.index(struct.pack("<HHI", 282, 5, 1)) + 8
  (where,) = struct.unpack_from("<I", data, at)
  data = data[:where] + struct.pack("<II", 1, 0) + data[where + 8 :]
  wanted = np.rot90(load_photo(pictures.tiff(samples, photometric="rgb")).image)
  np.testing.assert_array_equal(load_photo(data).image, wanted)


def test_a_truncated_block_turns_and_is_left_out_aloud():
  cut = block("<", (274, 3, 1, 3), (271, 2, 4, b"abc\0"))[:26]
  photo = load_photo(_saved("PNG", cut))
  np.testing.assert_array_equal(photo.image, _ODD[::-1, ::-1])
  assert "exif" not in photo.metadata and "EXIF is damaged" in photo.notes[0]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("value", [3, 6])
def test_sizes_and_thumbnail_follow_the_turn(order, kind, value):
  inner = [(0x9003, 2, 4, b"now\0")]
  inner += [(0xA002, kind, 1, 14), (0xA003, kind, 1, 9)]
  whole = block(
    order, (256, kind, 1, 14), (257, kind, 1, 9), (274, 3, 1, value),
    inner=inner, thumbnail=b"\xff\xd8thumbnail\xff\xd9",
  )  # fmt: skip
  photo = load_photo(_saved("JPEG", whole))
  height, width = photo.image.shape[:2]
  assert (height, width) == ((14, 9) if value == 6 else (9, 14))
  kept = Image.Exif()
  kept.load(photo.metadata["exif"])
  inner_kept = kept.get_ifd(0x8769)
  assert kept[exif.ORIENTATION] == 1
  assert (kept[256], kept[257]) == (width, height)
  assert (inner_kept[0xA002], inner_kept[0xA003]) == (width, height)
  assert inner_kept[0x9003] == "now" and not kept.get_ifd(1)
  assert b"thumbnail" not in photo.metadata["exif"]


def test_a_block_that_is_not_turned_is_kept_byte_by_byte():
  whole = block("<", (271, 2, 4, b"abc\0"), (274, 3, 1, 1), thumbnail=b"thumb")
  photo = load_photo(_saved("JPEG", whole))
  assert photo.metadata["exif"] == whole
  alone = load_photo(_saved("JPEG", block("<", (274, 3, 1, 6))))
  assert "exif" not in alone.metadata


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "PNG"])
def test_xmp_is_kept_and_follows_the_turn(kind):
  whole = block("<", (274, 3, 1, 6), (271, 2, 4, b"abc\0"))
  if kind == "PNG":
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP
    data = pictures.png(_ODD, 8, 2, (b"iTXt", text), (b"eXIf", whole))
  elif kind == "TIFF":
    data = pictures.tiff(
      _ODD, photometric="rgb",
      extratags=[(700, 1, len(_XMP), _XMP, True), (274, 3, 1, 6, True)],
    )  # fmt: skip
  else:
    data = _saved(kind, whole, xmp=_XMP)
  photo = load_photo(data)
  wanted = _XMP.replace(b'Orientation="6"', b'Orientation="1"')
  wanted = wanted.replace(b'XDimension="14"', b'XDimension="9"')
  wanted = wanted.replace(b"YDimension='9'", b"YDimension='14'")
  assert photo.metadata["xmp"] == wanted
  back = load_photo(png_bytes(photo.image, photo.metadata))
  assert back.metadata["xmp"] == wanted
  np.testing.assert_array_equal(back.image, photo.image)


def test_packed_xmp_of_a_png_is_kept_too():
  import zlib

  text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(_XMP)
  photo = load_photo(pictures.png(_ODD, 8, 2, (b"iTXt", text)))
  assert b"\xc3\xa4" in photo.metadata["xmp"]
