import io

import numpy as np
import pytest
from PIL import Image

from sclc_jax.formats import SUFFIXES, WRITTEN, writer_suffix
from sclc_jax.images.writer import encode_image

_ANY = np.arange(9 * 7 * 4, dtype=np.uint8).reshape(9, 7, 4)


@pytest.mark.parametrize("suffix", sorted(WRITTEN))
def test_what_is_written_can_be_read_again(suffix):
  assert suffix in SUFFIXES
  image = _ANY[..., 0] if suffix == ".pgm" else _ANY[..., :3]
  data = encode_image(image, suffix)
  assert Image.open(io.BytesIO(data)).size == (7, 9)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_all_metadata_together_come_back(suffix):
  exif = Image.Exif()
  exif[0x010F] = "maker"
  exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
  raw = exif.tobytes().removeprefix(b"Exif\0\0")
  metadata = {"icc": b"profile", "exif": raw, "xmp": b"<x:xmpmeta/>"}
  data = encode_image(_ANY[..., :3], suffix, metadata)
  back = Image.open(io.BytesIO(data))
  assert back.info["icc_profile"] == b"profile"
  assert back.info["xmp"].rstrip(b"\0") == b"<x:xmpmeta/>"
  assert back.getexif()[0x010F] == "maker"
  assert back.getexif().get_ifd(0x8769)[0x9003] == "2020:02:03 04:05:06"


@pytest.mark.parametrize(
  "channels, suffix", [(4, ".jpg"), (2, ".jpeg"), (4, ".bmp"), (2, ".pgm")]
)
def test_alpha_is_refused_where_the_format_has_none(channels, suffix):
  with pytest.raises(ValueError, match="transparency.*png"):
    encode_image(_ANY[..., :channels], suffix)


def test_what_pillow_cannot_write_is_refused_with_the_remedy():
  with pytest.raises(ValueError, match=r"\.jpg.*end -o in \.png"):
    encode_image(np.zeros((1, 65536, 3), np.uint8), ".jpg")
  with pytest.raises(ValueError, match=r"\.webp.*end -o in \.png"):
    encode_image(np.zeros((1, 16384, 3), np.uint8), ".webp")


def test_a_suffix_that_is_not_written_names_those_that_are():
  assert writer_suffix("a/b.JPG") == ".jpg" and writer_suffix("x.y/b") == ""
  with pytest.raises(ValueError, match=r"b\.heic ends in \.heic.*\.webp"):
    writer_suffix("b.heic")
