"""The reader against libvips, over formats, depths and transparency.

`python tests/images/depths_test.py` prints the table of docs/photos.md.
"""

import numpy as np
import pictures
import pytest
import pyvips
from PIL import Image

from sclc_jax.images import load_photo

FILES = pictures.files()


def independent(data: bytes, name: str) -> np.ndarray:
  """float [H, W, C] on the scale 0..255, by libvips."""
  image = pyvips.Image.new_from_buffer(data, "")
  values = np.atleast_3d(image.numpy()).astype(float)
  values /= 257 if image.format == "ushort" else 1
  if image.interpretation == "cmyk":  # less ink, more light
    values = (255 - values[..., :3]) * (255 - values[..., 3:]) / 255
  return values


def outcome(name: str) -> str:
  """`right`, `refused: ...`, or what differs."""
  data = FILES[name]()
  try:
    image = load_photo(data).image
  except ValueError as error:
    text = str(error)
    return f"refused: {text}" if "convert" in text else f"no remedy: {text}"
  try:
    wanted = independent(data, name)
  except pyvips.Error:  # tiles with planes apart: as in strips
    wanted = independent(FILES[name.replace("tiles", "strips")](), name)
  image = np.atleast_3d(image)
  if wanted.shape[2] in (2, 4) and (wanted[..., -1] > 254.4).all():
    wanted = wanted[..., :-1]
  if wanted.shape[2] == 3 and image.shape[2] == 1:
    image = np.repeat(image, 3, 2)  # libvips has no gray AVIF
  if image.shape != wanted.shape:
    return f"shape {image.shape}, not {wanted.shape}"
  error = np.abs(image - wanted)
  if wanted.shape[2] in (2, 4):  # what is under alpha 0 has no colour
    error[..., :-1][wanted[..., -1] < 0.5] = 0
  # JPEG, AVIF and JPEG 2000 may be decoded with other roundings, CMYK by
  # another formula; of all else 0.5 is the rounding to 8 bits.
  exact = not name.startswith(("JPEG", "AVIF")) and "separated" not in name
  premultiplied = "assocalpha 8 bits" in name
  limit = 1.01 if premultiplied else 0.51 if exact else 2.01
  return "right" if error.max() <= limit else f"off by {error.max():.1f}"


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_libvips_or_refused_with_the_remedy(name):
  got = outcome(name)
  numbers = any(f" {kind}" in name for kind in ("i1", "i2", "u4", "f2", "f4"))
  assert got.startswith("refused: " if numbers else "right"), got


@pytest.mark.parametrize("bits", [3, 10, 12, 14])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("zipped", [False, True])
def test_tiff_samples_of_odd_depths_use_the_whole_scale(bits, order, zipped):
  for count, photometric in ((1, 1), (1, 0), (3, 2)):
    samples = pictures.ramp(count, bits)
    data = pictures.packed_tiff(samples, bits, photometric, order, zipped)
    wanted = samples * 255.0 / (2**bits - 1)
    wanted = 255 - wanted if photometric == 0 else wanted
    got = np.atleast_3d(load_photo(data).image)
    assert np.abs(got - wanted).max() <= 0.51


@pytest.mark.parametrize(
  "masks", [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)]
)
def test_bmps_of_16_bits_a_pixel_are_read_by_their_masks(masks):
  values = np.arange(0, 65536, 37, np.uint16)[:1760].reshape(40, 44)
  if masks[0] == 0x7C00:
    values &= 0x7FFF
  got = load_photo(pictures.bmp(values, masks, 16))
  for channel, mask in enumerate(masks):
    share = (values & mask) / mask
    assert np.abs(got.image[..., channel] - 255 * share).max() <= 1
  assert not got.notes


def test_only_what_has_16_bits_a_sample_is_said_to_be_rounded():
  for name, make in FILES.items():
    try:
      notes = load_photo(make()).notes
    except ValueError:
      continue
    deep = "16 bits" in name or "65535" in name
    assert any("16 bits" in note for note in notes) == deep, (name, notes)


def test_no_picture_is_decoded_twice_but_those_of_16_bit_colours(monkeypatch):
  from sclc_jax.images import reader

  opened = []
  plain = reader._open
  monkeypatch.setattr(reader, "_open", lambda *a: opened.append(1) or plain(*a))
  for name, twice in (
    ("WEBP RGB 8 bits", False), ("PNG RGB 8 bits", False),
    ("PNG gray 16 bits", False), ("PNG RGB 16 bits", True),
  ):  # fmt: skip
    opened.clear()
    load_photo(FILES[name]())
    assert len(opened) == 1 + twice, name


def test_a_tiff_of_ycbcr_is_read_where_no_chroma_is_missing():
  rgb = pictures.ramp(3, 8)
  values = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
  for zipped in (None, "zlib"):
    data = pictures.tiff(values, photometric="ycbcr", compression=zipped)
    assert np.abs(load_photo(data).image.astype(int) - rgb).max() <= 4
  data = pictures.packed_tiff(values, 8, 6)
  assert np.abs(load_photo(data).image.astype(int) - rgb).max() <= 4
  height = data.index(b"\x01\x01\x04\0\x01\0\0\0") + 8
  data = data[:height] + bytes([20, 0, 0, 0]) + data[height + 4 :]
  with pytest.raises(ValueError, match="YCbCr samples .* convert it"):
    load_photo(data)


@pytest.mark.parametrize("top", [1, 100, 255, 1000, 65535])
@pytest.mark.parametrize("count", [1, 3])
def test_pgm_and_ppm_use_the_whole_scale(top, count):
  samples = pictures.ramp(count, 8).astype(int) * top // 255
  got = np.atleast_3d(load_photo(pictures.ppm(samples, top)).image)
  assert np.abs(got - samples * 255 / top).max() <= 0.51


def test_jpeg_2000_without_loss_comes_back():
  for count in (1, 3, 4):
    samples = pictures.ramp(count, 8)
    data = pictures.saved(samples, "JPEG2000")
    np.testing.assert_array_equal(
      np.atleast_3d(load_photo(data).image), samples
    )


if __name__ == "__main__":
  rows: dict[str, dict[str, int]] = {}
  for file in FILES:
    row = rows.setdefault(file.partition(", II")[0].partition(", MM")[0], {})
    word = outcome(file).partition(":")[0]
    row[word] = row.get(word, 0) + 1
  print("| picture | files | against libvips |\n| --- | ---: | --- |")
  for file, words in rows.items():
    print(f"| {file} | {sum(words.values())} | {', '.join(words)} |")
