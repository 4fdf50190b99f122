import copy
import dataclasses
import io
import pathlib
import pickle
import subprocess
import sys

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

import sclc_jax.pillow
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.codec_model import with_fingerprint
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.config import Objective
from sclc_jax.export.preview_fit import fit_preview
from sclc_jax.images import load_photo, png_bytes

GOLDEN = pathlib.Path(__file__).parent / "golden"
MODEL = GOLDEN / "v1" / "model.sclcm"

pytestmark = pytest.mark.usefixtures("known_model")


@pytest.fixture(scope="module")
def known_model() -> None:
  sclc_jax.pillow.register_model(MODEL)


def saved(image: Image.Image, **options) -> bytes:
  buffer = io.BytesIO()
  image.save(buffer, "SCLC", model=MODEL, **options)
  return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
  return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
  "name", ["v1/rgb_q4.5", "v1/gray_q3", "v2/alpha_q4", "v2/gray_alpha_q2"]
)
def test_pixels_are_those_of_the_decoder(codec, name):
  path = GOLDEN / f"{name}.sclc"
  pixels = codec.decompress(path.read_bytes())
  with Image.open(path) as image:
    modes = {(2, 0): "L", (3, 2): "LA", (3, 3): "RGB", (3, 4): "RGBA"}
    channels = pixels.shape[2] if pixels.ndim == 3 else 0
    assert image.mode == modes[pixels.ndim, channels]
    assert image.size == pixels.shape[1::-1]
    assert (image.format, image.get_format_mimetype()) == (
      "SCLC", "image/x-sclc",
    )  # fmt: skip
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_metadata_is_what_the_file_keeps(codec, tmp_path, photo):
  exif = Image.Exif()
  exif[271] = "camera"
  icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
  xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>1</a></x:xmpmeta>'
  path = tmp_path / "photo.sclc"
  Image.fromarray(photo).save(
    path, model=MODEL, exif=exif, icc_profile=icc, xmp=xmp
  )
  kept = codec.metadata(path.read_bytes())
  assert kept["icc"] == icc and kept["xmp"] == xmp
  image = Image.open(path)
  assert image.info["icc_profile"] == icc
  assert image.getexif()[271] == "camera"
  assert image.info["xmp"] == xmp
  jpeg = io.BytesIO()
  image.save(jpeg, "JPEG", exif=image.info["exif"])
  assert opened(jpeg.getvalue()).getexif()[271] == "camera"


def test_saved_bytes_are_those_of_the_codec(codec, photo):
  image = Image.fromarray(photo)
  assert saved(image) == codec.compress(photo)
  assert saved(image, quality=2.5) == codec.compress(photo, 2.5)


def test_effort_is_that_of_the_codec(codec, tmp_path, photo):
  objective = Objective("mse", 0.001, 0.1)
  model = dataclasses.replace(codec.model, objective=objective)
  path, image = tmp_path / "model.sclcm", photo[:64, :64]
  save_model(model, path)
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, "SCLC", model=path, effort=1)
  assert buffer.getvalue() == Codec(model, effort=1).compress(image)
  with pytest.raises(ValueError, match="effort must lie"):
    Image.fromarray(image).save(buffer, "SCLC", model=path, effort=65)


def test_a_profile_stays_with_its_pixels(codec, photo):
  image = Image.fromarray(photo)
  image.info["icc_profile"] = b"profile"
  assert codec.metadata(saved(image)) == {"icc": b"profile"}
  assert codec.metadata(saved(image, icc_profile=None)) == {}


@pytest.mark.parametrize(
  "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX",
           "CMYK", "YCbCr", "HSV", "LAB", "I;16"]
)  # fmt: skip
def test_modes_become_what_the_command_line_makes_of_them(
  codec, photo, mode
):
  image = Image.fromarray(photo[:64, :64])
  if mode == "I;16":
    shades = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    image = Image.fromarray(shades)
  elif mode == "LAB":
    lab, srgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
    image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
  else:
    for step in {"La": ["LA"], "RGBa": ["RGBA"], "PA": ["P"]}.get(mode, []):
      image = image.convert(step)
    image = image.convert(mode)
  buffer = io.BytesIO()
  try:
    image.save(buffer, "TIFF")
  except OSError:  # a TIFF has no such mode
    buffer = io.BytesIO()
    plain = {"La": "LA", "RGBa": "RGBA"}.get(mode, "RGB")
    image.convert(plain).save(buffer, "PNG")
  expected = codec.compress(load_photo(buffer.getvalue()).image)
  assert saved(image) == expected


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_of_32_bits_are_refused(mode, tmp_path):
  path = tmp_path / "photo.sclc"
  with pytest.raises(OSError, match="32 bits; convert it to 8 or 16"):
    Image.new(mode, (8, 8)).save(path)
  assert not path.exists()


def test_transparent_palette_keeps_its_alpha(codec):
  image = Image.new("P", (16, 16))
  image.putpalette([255, 0, 0, 0, 255, 0])
  image.paste(1, (4, 4, 12, 12))
  image.info["transparency"] = 0
  out = opened(saved(image))
  assert out.mode == "RGBA"
  alpha = np.asarray(image.convert("RGBA"))[..., 3]
  np.testing.assert_array_equal(np.asarray(out)[..., 3], alpha)


def test_every_damaged_file_is_an_error_that_pillow_users_expect(photo):
  data = saved(Image.fromarray(photo[:64, :64]))
  for end in range(3, len(data)):
    with pytest.raises(UnidentifiedImageError, match=r"^the file"):
      opened(data[:end])
  for at in range(3, len(data)):
    with pytest.raises(UnidentifiedImageError, match=r"^the file"):
      opened(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_a_model_that_is_not_there_is_named_at_the_first_pixel(
  codec, photo
):
  model = dataclasses.replace(codec.model, qv=codec.model.qv * 2)
  model = with_fingerprint(model)
  data = Codec(model).compress(photo[:64, :64])
  image = opened(data)
  assert image.size == (64, 64)
  name = model.fingerprint.hex()
  with pytest.raises(OSError, match=f"{name}, which is not shipped; call"):
    image.load()


def test_what_is_no_model_cannot_be_registered(tmp_path):
  with pytest.raises(ValueError, match="there is no model file"):
    sclc_jax.pillow.register_model(tmp_path / "none.sclcm")
  path = tmp_path / "other.sclcm"
  path.write_bytes(png_bytes(np.zeros((1, 1), np.uint8)))
  with pytest.raises(ValueError, match="not a whole .sclcm model"):
    sclc_jax.pillow.register_model(path)


def test_images_are_pickled_and_copied_with_their_pixels(codec):
  path = GOLDEN / "v1" / "rgb_q8.sclc"
  pixels = codec.decompress(path.read_bytes())
  for change in (lambda image: pickle.loads(pickle.dumps(image)), copy.copy):
    np.testing.assert_array_equal(np.asarray(change(Image.open(path))), pixels)


SCRIPT = """
import sys, time
from PIL import Image, ImageFile
start = time.perf_counter()
import sclc_jax.pillow
seconds = time.perf_counter() - start
assert seconds < 0.1, seconds
assert not {"numpy", "jax", "tensorflow"} & sys.modules.keys()
sclc_jax.pillow.register_model(sys.argv[1])
image = Image.open(sys.argv[2])
assert image.size and image.info["exif"]
assert not {"jax", "tensorflow"} & sys.modules.keys()
image.load()
assert "jax" in sys.modules and "tensorflow" not in sys.modules
"""


def test_jax_comes_with_the_first_pixel_and_tensorflow_never():
  file = GOLDEN / "v2" / "metadata_q1.sclc"
  subprocess.run([sys.executable, "-c", SCRIPT, MODEL, file], check=True)


@pytest.fixture
def with_preview(tiny_model, photo, tmp_path):
  """Pillow takes previews from a file of the small model that has them."""
  model = fit_preview(tiny_model, [photo])
  path = tmp_path / "fitted.sclcm"
  save_model(model, path)
  sclc_jax.pillow.register_model(path)
  yield Codec(read_model(path))
  sclc_jax.pillow.register_model(MODEL)


@pytest.mark.parametrize(
  ("size", "scale"),
  [((20, 16), 8), ((30, 30), 4), ((80, 64), 2), ((81, 64), 1), ((1, 1), 8)],
)
def test_a_draft_is_the_smallest_preview_that_is_large_enough(
  with_preview, photo, size, scale
):
  data = saved(Image.fromarray(photo))
  image = opened(data)
  drafted = image.draft("RGB", size)
  if scale == 1:
    assert drafted is None and image.size == (160, 128)
    return
  assert drafted == ("RGB", (0, 0, 160 / scale, 128 / scale))
  assert image.size == (160 // scale, 128 // scale)
  assert image.draft("RGB", (1, 1)) is None
  small = with_preview.preview(data, scale)
  np.testing.assert_array_equal(np.asarray(image), small)


def test_thumbnails_come_from_previews(with_preview, photo, monkeypatch):
  image = opened(saved(Image.fromarray(photo)))
  monkeypatch.setattr(Codec, "decompress", None)
  image.thumbnail((10, 10))
  assert image.size == (10, 8)


def test_without_a_preview_thumbnails_come_from_the_picture(photo):
  image = opened(saved(Image.fromarray(photo)))
  assert image.draft("RGB", (1, 1)) is None
  image.thumbnail((10, 10))
  assert image.size == (10, 8)


def test_imageio_reads_and_writes_by_pillow(codec, photo, tmp_path):
  path = tmp_path / "photo.sclc"
  imageio.imwrite(path, photo, plugin="pillow", format="SCLC", model=MODEL)
  assert path.read_bytes() == codec.compress(photo)
  pixels = codec.decompress(path.read_bytes())
  np.testing.assert_array_equal(imageio.imread(path), pixels)
