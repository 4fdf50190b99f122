import io
import struct
import zlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax.images import (
  load_image,
  load_photo,
  load_rgb,
  png_bytes,
)
from sclc_jax.metrics import psnr_db


def _png(samples: np.ndarray) -> bytes:
  """A 16-bit PNG of [H, W, C], which Pillow cannot write."""
  height, width, channels = samples.shape
  kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
  rows = (b"\0" + row.astype(">u2").tobytes() for row in samples)

  def chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

  header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
  return b"".join(
    (
      b"\x89PNG\r\n\x1a\n",
      chunk(b"IHDR", header),
      chunk(b"IDAT", zlib.compress(b"".join(rows))),
      chunk(b"IEND", b""),
    )
  )


def _bytes(image: Image.Image, kind: str, **options) -> bytes:
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


@hypothesis.given(
  st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99)
)
@hypothesis.settings(deadline=None, max_examples=40)
def test_16_bits_are_rounded_to_8(height, width, channels, seed):
  rng = np.random.default_rng(seed)
  samples = rng.integers(0, 65536, (height, width, channels)).astype(np.uint16)
  photo = load_photo(_png(samples))
  wanted = np.round(samples / 257).astype(np.uint8)
  if channels in (2, 4) and (wanted[..., -1] == 255).all():
    wanted = wanted[..., :-1]
  np.testing.assert_array_equal(np.atleast_3d(photo.image), wanted)
  assert "16 bits" in photo.notes[0]


def test_16_bit_tiff_is_rounded_too():
  import tifffile

  rng = np.random.default_rng(0)
  samples = rng.integers(0, 65536, (9, 7, 3)).astype(np.uint16)
  buffer = io.BytesIO()
  for order in "<>":
    tifffile.imwrite(buffer, samples, photometric="rgb", byteorder=order)
    photo = load_photo(buffer.getvalue())
    np.testing.assert_array_equal(photo.image, np.round(samples / 257))


@pytest.mark.parametrize(
  "mode, channels",
  [("1", 0), ("L", 0), ("LA", 2), ("P", 3), ("RGB", 3), ("RGBA", 4),
   ("CMYK", 3), ("YCbCr", 3), ("PA", 4)],
)  # fmt: skip
def test_every_mode_is_read(photo, mode, channels):
  image = Image.fromarray(photo[:20, :30]).convert("RGBA")
  image.putalpha(Image.fromarray(photo[:20, :30, 0]))
  if mode in ("1", "P", "CMYK", "YCbCr"):
    image = image.convert("RGB")
  image = image.convert("P").convert(mode) if mode == "PA" else (
    image.convert(mode)
  )  # fmt: skip
  if mode == "PA":
    image.putalpha(Image.fromarray(photo[:20, :30, 0]))
  actual = load_photo(_bytes(image, "TIFF")).image
  assert actual.shape == ((20, 30, channels) if channels else (20, 30))
  if mode in ("RGB", "RGBA", "L", "LA"):
    np.testing.assert_array_equal(actual, np.asarray(image))


def test_transparent_palette_becomes_alpha(photo):
  image = Image.fromarray(photo[:9, :9]).quantize(8)
  data = _bytes(image, "PNG", transparency=3)
  actual = load_photo(data).image
  np.testing.assert_array_equal(actual[..., 3] == 0, np.asarray(image) == 3)
  with pytest.raises(ValueError, match="flatten"):
    load_image(data)


def test_limit_is_ours_and_leaves_pillows_alone(photo):
  before = Image.MAX_IMAGE_PIXELS
  data = _bytes(Image.fromarray(photo), "PNG")
  with pytest.raises(ValueError, match="--max-pixels"):
    load_photo(data, max_pixels=100)
  with pytest.raises(ValueError, match="--max-pixels"):
    load_image(data, max_pixels=100)
  Image.MAX_IMAGE_PIXELS = 100
  try:
    assert load_photo(data).image.shape == photo.shape
    assert Image.MAX_IMAGE_PIXELS == 100
  finally:
    Image.MAX_IMAGE_PIXELS = before


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2), (3, 4, 3), (3, 4, 4)])
def test_png_gives_back_every_shape(shape):
  image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
  np.testing.assert_array_equal(load_photo(png_bytes(image)).image, image)


@pytest.mark.parametrize("exif", [b"exif", b"Exif\0\0junk", b"II*\0\x08\0\0\0"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_damaged_exif_is_left_out_aloud(photo, kind, exif):
  options = {"dpi": (72, 72)} if kind == "JPEG" else {}
  data = _bytes(Image.fromarray(photo), kind, exif=exif, **options)
  actual = load_photo(data)
  assert actual.image.shape == photo.shape and "exif" not in actual.metadata


def test_damaged_exif_is_named(photo):
  data = _bytes(Image.fromarray(photo), "PNG", exif=b"Exif\0\0junk")
  assert "EXIF" in load_photo(data).notes[0]


def test_a_tiff_keeps_its_exif_but_not_how_it_is_stored(photo):
  exif = Image.Exif()
  exif[0x0112], exif[0x010F] = 6, "maker"  # orientation: turn it right
  data = _bytes(Image.fromarray(photo), "TIFF", exif=exif)
  actual = load_photo(data)
  np.testing.assert_array_equal(actual.image, np.rot90(photo, -1))
  kept = Image.Exif()
  kept.load(b"Exif\0\0" + actual.metadata["exif"])
  assert dict(kept) == {0x010F: "maker"}


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_to_be_scaled_down_is_decoded_at_fewer_pixels(orientation):
  photo = Image.fromarray(skimage.data.astronaut()).resize((1200, 900))
  exif = Image.Exif()
  exif[0x0112] = orientation
  file = io.BytesIO()
  photo.save(file, "JPEG", quality=95, exif=exif)
  whole = load_rgb(file.getvalue())

  def scaled(image):
    size = (180, 240) if orientation == 6 else (240, 180)
    small = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(small)

  for shorter_side, factor in ((451, 1), (225, 2), (180, 2), (112, 4), (40, 8)):
    image = load_rgb(file.getvalue(), shorter_side=shorter_side)
    sides = [-(-side // factor) for side in whole.shape[:2]]
    assert list(image.shape[:2]) == sides
    assert min(sides) >= 2 * shorter_side or factor == 1
    if shorter_side >= 180:  # what is scaled to that looks as if from all
      assert psnr_db(scaled(image), scaled(whole)) > 45
