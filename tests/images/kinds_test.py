"""Every refusal names the file and a remedy, and no object of Python."""

import struct
import sys
import types
import zlib

import numpy as np
import pictures
import pytest
from PIL import PngImagePlugin

from sclc_jax.images import load_photo, load_rgb, load_size
from sclc_jax.train.data import open_folder


def _brand(name: bytes) -> bytes:
  return struct.pack(">I4s4sI4s", 20, b"ftyp", name, 0, b"mif1") + bytes(80)


def _tiff(tag: tuple, **options) -> bytes:
  return pictures.tiff(
    pictures.ramp(3, 8), photometric="rgb", extratags=[tag], **options
  )


# tifffile writes no directories below the first, so the tag is put in later.
_RAW = _tiff((331, 4, 1, 8, True), subfiletype=1).replace(
  struct.pack("<HHI", 331, 4, 1), struct.pack("<HHI", 330, 4, 1)
)
_DNG = _tiff((50706, 1, 4, b"\1\4\0\0", True))
KINDS = [
  (_brand(b"heic"), "pillow-heif.*convert"),
  (_brand(b"mif1"), "pillow-heif.*convert"),
  (b"\xff\x0a" + bytes(50), "JPEG XL.*pillow-jxl-plugin.*convert"),
  (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL.*convert"),
  (b"II*\0\x10\0\0\0CR\2\0" + bytes(50), "raw file; develop"),
  (_RAW, "raw file; develop"),
  (_DNG, "raw file; develop"),
  (_brand(b"crx "), "raw file; develop"),
  (b"FUJIFILMCCD-RAW 0201" + bytes(50), "raw file; develop"),
  (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org'/>", "render"),
  (b"%PDF-1.7\n" + bytes(50), "PDF.*PNG"),
  (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "render"),
  (_brand(b"isom"), "video.*frame"),
  (_brand(b"qt  "), "video.*frame"),
  (b"\x1aE\xdf\xa3" + bytes(50), "video.*frame"),
  (b"RIFF\0\0\0\0AVI " + bytes(50), "video.*frame"),
  (b"v/1\1" + bytes(50), "convert"),
  (b"gimp xcf v011" + bytes(50), "export"),
  (b"PK\3\4" + bytes(50), "unpack"),
  (b"SCL\1" + bytes(50), "sclc decompress"),
  (b"", "empty; give"),
  (b"hello, world" * 9, "no image format.*PNG, JPEG"),
  (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG, JPEG"),
  (b"\xff\xd8\xff\xe0" + bytes(50), "PNG, JPEG"),
  (b"II*\0" + bytes(50), "PNG, JPEG"),
  (b"RIFF\x20\0\0\0WEBPVP8 " + bytes(30), "PNG, JPEG"),
  (b"GIF89a" + bytes(9), "PNG, JPEG"),
  (b"BM" + bytes(60), "PNG, JPEG"),
]


@pytest.fixture(autouse=True)
def without_plugins(monkeypatch):
  for module in ("pillow_heif", "pillow_jxl"):
    monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize("data, remedy", KINDS)
@pytest.mark.parametrize("read", [load_photo, load_rgb, load_size])
def test_a_refusal_is_one_line_with_name_and_remedy(
  tmp_path, data, remedy, read
):
  path = tmp_path / "holiday.img"
  path.write_bytes(data)
  if read is load_size and remedy == "PNG, JPEG":
    read = load_photo  # its header may say a size all the same
  with pytest.raises(ValueError, match=f"holiday.img.*{remedy}") as caught:
    read(path)
  text = str(caught.value)
  assert "\n" not in text and "object at" not in text and "<_io" not in text


def test_a_missing_file_is_named(tmp_path):
  for read in (load_photo, load_size):
    with pytest.raises(ValueError, match="none.png.*No such file"):
      read(tmp_path / "none.png")


def test_a_truncated_picture_is_named(photo):
  for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"):
    data = pictures.saved(photo[:40, :50], kind)
    with pytest.raises(
      ValueError, match="^a.x is not .* give a whole"
    ) as caught:
      load_photo(data[: len(data) // 2], name="a.x")
    assert "object at" not in str(caught.value)


def test_heic_is_read_where_its_plugin_is_installed(monkeypatch):
  calls = []
  plugin = types.SimpleNamespace(register_heif_opener=lambda: calls.append(1))
  monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
  with pytest.raises(ValueError, match="no image format"):
    load_photo(_brand(b"heic"))
  assert calls


def _with_text(size: int, chunk: str) -> bytes:
  info = PngImagePlugin.PngInfo()
  if chunk == "zTXt":
    info.add_text("workflow", "x" * size, zip=True)
  elif chunk == "iTXt":
    info.add_itxt("workflow", "x" * size, zip=True)
  elif chunk == "tEXt":
    info.add_text("workflow", "x" * size)
  options = {"icc_profile": bytes(size)} if chunk == "iCCP" else {}
  return pictures.saved(pictures.ramp(3, 8), "PNG", pnginfo=info, **options)


def test_a_picture_with_a_drawing_in_its_text_is_a_picture():
  text = (b"tEXt", b"Comment\0<svg></svg>")
  samples = pictures.ramp(3, 8)
  data = pictures.png(samples, 8, 2, text)
  np.testing.assert_array_equal(load_photo(data).image, samples)


@pytest.mark.parametrize("chunk", ["zTXt", "iTXt", "tEXt", "iCCP"])
def test_a_png_with_megabytes_of_text_or_profile_opens(tmp_path, chunk):
  before = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
  size = (70 << 20) if chunk in ("zTXt", "iTXt") else (2 << 20)
  data = _with_text(size, chunk)
  np.testing.assert_array_equal(load_photo(data).image, pictures.ramp(3, 8))
  (tmp_path / "a.png").write_bytes(data)
  assert len(open_folder(tmp_path, 32)) == 1
  assert open_folder(tmp_path, 32)[0].shape == (40, 48, 3)
  assert before == (
    PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
  )  # fmt: skip


def test_a_large_profile_is_kept_and_a_bomb_is_not():
  profile = bytes(range(256)) * 2**13
  data = pictures.saved(pictures.ramp(3, 8), "PNG", icc_profile=profile)
  assert load_photo(data, keep_profile=True).metadata == {"icc": profile}
  bomb = b"name\0\0" + zlib.compress(bytes(2**26))
  photo = load_photo(pictures.png(pictures.ramp(3, 8), 8, 2, (b"iCCP", bomb)))
  assert len(photo.notes) == 1 and "profile" in photo.notes[0]


def test_a_picture_bomb_is_refused_before_it_is_decoded():
  header = struct.pack(">IIBBBBB", 10**5, 10**5, 8, 2, 0, 0, 0)
  data = pictures.png(pictures.ramp(3, 8), 8, 2)
  data = data[:8] + pictures.chunk(b"IHDR", header) + data[33:]
  with pytest.raises(ValueError, match="100000x100000.*--max-pixels"):
    load_photo(data)
