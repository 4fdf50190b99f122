"""Colours as they are seen: against colour science written for the test."""

import io
import struct

import numpy as np
import pictures
import profiles
import pytest
import skimage.data
from PIL import Image, ImageCms

from sclc_jax.images import load_photo, load_rgb

WIDE = ("display_p3", "adobe_rgb", "prophoto", "rec_2020")


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
  return skimage.data.chelsea()[:120, 100:260]


def _seen_by_hand(image: np.ndarray, name: str) -> np.ndarray:
  return 255 * profiles.seen_as(image / np.iinfo(image.dtype).max, name)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "AVIF", "JPEG"])
@pytest.mark.parametrize("name", WIDE)
def test_pixels_are_what_was_seen_through_the_profile(cat, name, kind):
  options = {"WEBP": {"lossless": True}}.get(kind, {})
  data = pictures.saved(
    cat, kind, icc_profile=profiles.rgb_profile(name), **options
  )
  stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
  photo = load_photo(data)
  assert np.abs(photo.image - _seen_by_hand(stored, name)).max() <= 1.01
  assert not photo.notes and not photo.metadata


@pytest.mark.parametrize("name", WIDE)
def test_a_kept_profile_leaves_the_pixels_in_its_space(cat, name):
  profile = profiles.rgb_profile(name)
  photo = load_photo(
    pictures.saved(cat, "PNG", icc_profile=profile), keep_profile=True
  )
  np.testing.assert_array_equal(photo.image, cat)
  assert photo.metadata == {"icc": profile} and not photo.notes


@pytest.mark.parametrize("name", [*WIDE, "srgb"])
def test_16_bit_colours_do_not_fall_together(name):
  dark = np.arange(3 * 4096, dtype=np.uint16).reshape(64, 64, 3)
  bright = np.linspace(0, 65535, 3 * 4096).astype(np.uint16).reshape(64, 64, 3)
  for samples in (dark, bright):
    data = pictures.tiff(
      samples, photometric="rgb", iccprofile=profiles.rgb_profile(name)
    )
    error = load_photo(data).image - _seen_by_hand(samples, name)
    assert np.abs(error).max() <= 0.6


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.6])
def test_gray_profiles_are_applied_and_gray_stays_gray(bits, gamma):
  samples = pictures.ramp(1, bits)[..., 0]
  data = pictures.tiff(
    samples, photometric="minisblack", iccprofile=profiles.gray_profile(gamma)
  )
  light = (samples / (2**bits - 1)) ** gamma
  wanted = 255 * np.where(
    light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055
  )
  image = load_photo(data).image
  assert image.shape == samples.shape and np.abs(image - wanted).max() <= 1.01


def test_cmyk_goes_through_its_own_profile():
  cmyk = np.zeros((8, 8, 4), np.uint8)
  cmyk[:4] = (200, 100, 50, 10)
  plain = load_photo(pictures.saved(cmyk, "TIFF", "CMYK")).image
  profile = profiles.cmyk_profile()
  for keep in (False, True):
    photo = load_photo(
      pictures.saved(cmyk, "TIFF", "CMYK", icc_profile=profile),
      keep_profile=keep,
    )
    # The profile's inks are all the same: gray by their sum.
    assert np.ptp(photo.image, axis=2).max() <= 2
    assert not photo.notes and not photo.metadata
    assert np.abs(photo.image[0, 0].astype(int) - plain[0, 0]).max() > 20
    assert photo.image[7, 7].min() >= 254


def test_srgb_profiles_change_no_pixel(cat):
  table = np.round(
    65535 * profiles.linear(np.arange(1024) / 1023, profiles.SRGB_CURVE)
  ).astype(">u2")
  curve = b"curv" + bytes(4) + struct.pack(">I", 1024) + table.tobytes()
  own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
  for profile in (
    own, profiles.rgb_profile("srgb"), profiles.rgb_profile("srgb", curve)
  ):  # fmt: skip
    photo = load_photo(pictures.saved(cat, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(photo.image, cat)
    assert not photo.notes


@pytest.mark.parametrize(
  "profile, word",
  [(b"profile" * 20, "damaged"),
   (profiles.rgb_profile("srgb")[:200], "profile"),
   (profiles.gray_profile(1.8), "for GRAY"), (profiles.cmyk_profile(), "CMYK")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_damaged_or_wrong_profile_gives_one_note(cat, profile, word, kind):
  data = pictures.saved(cat, kind, icc_profile=profile)
  photo = load_photo(data)
  plain = load_photo(pictures.saved(cat, kind))
  np.testing.assert_array_equal(photo.image, plain.image)
  assert len(photo.notes) == 1 and word in photo.notes[0]


def test_alpha_does_not_pass_through_the_profile(cat):
  alpha = pictures.ramp(1, 8)[:, :, 0]
  image = np.dstack([cat[:40, :48], alpha])
  data = pictures.saved(
    image, "PNG", icc_profile=profiles.rgb_profile("rec_2020")
  )
  photo = load_photo(data)
  np.testing.assert_array_equal(photo.image[..., 3], alpha)
  wanted = _seen_by_hand(image[..., :3], "rec_2020")
  assert np.abs(photo.image[..., :3] - wanted).max() <= 1.01


def _chunks(name: str) -> dict[bytes, bytes]:
  primaries, white, _ = profiles.SPACES[name]
  total = white.sum()
  numbers = (white[0] / total, white[1] / total, *primaries)
  return {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", *(round(v * 1e5) for v in numbers)),
  }


@pytest.mark.parametrize("bits", [8, 16])
def test_chromaticities_of_a_png_are_applied(bits):
  samples = pictures.ramp(3, bits)
  data = pictures.png(samples, bits, 2, *_chunks("display_p3").items())
  wanted = _seen_by_hand(samples, "display_p3")
  assert np.abs(load_photo(data).image - wanted).max() <= 1.01


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_gamma_of_a_png_is_applied(bits, channels):
  samples = pictures.ramp(channels, bits)
  kind = 0 if channels == 1 else 2
  linear = pictures.png(
    samples, bits, kind, (b"gAMA", struct.pack(">I", 100000))
  )
  light = samples / (2**bits - 1)
  wanted = 255 * np.where(
    light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055
  )
  got = np.atleast_3d(load_photo(linear).image)
  assert np.abs(got - wanted).max() <= 1.01


def test_chunks_that_say_srgb_change_nothing():
  samples = pictures.ramp(3, 8)
  said = _chunks("srgb")
  for extra in (
    said.items(), [(b"gAMA", said[b"gAMA"])], [(b"cICP", bytes([1, 13, 0, 1]))],
    [(b"sRGB", b"\0"), *_chunks("rec_2020").items()],
  ):  # fmt: skip
    photo = load_photo(pictures.png(samples, 8, 2, *extra))
    np.testing.assert_array_equal(photo.image, samples)
    assert not photo.notes


@pytest.mark.parametrize("kept", [False, True])
def test_code_points_of_a_png_are_applied_or_named(kept):
  samples = pictures.ramp(3, 8)
  p3 = pictures.png(samples, 8, 2, (b"cICP", bytes([12, 13, 0, 1])))
  photo = load_photo(p3, keep_profile=kept)
  wanted = _seen_by_hand(samples, "display_p3")
  assert np.abs(photo.image - wanted).max() <= 1.01 and not photo.notes
  hdr = load_photo(pictures.png(samples, 8, 2, (b"cICP", bytes([9, 16, 0, 1]))))
  np.testing.assert_array_equal(hdr.image, samples)
  assert len(hdr.notes) == 1 and "PQ" in hdr.notes[0]


def test_code_points_of_an_avif_are_applied():
  data = pictures.saved(pictures.ramp(3, 8), "AVIF", quality=100,
                        subsampling="4:4:4")  # fmt: skip
  plain = load_photo(data).image
  at = data.index(b"colrnclx") + 8
  wide = data[:at] + struct.pack(">HH", 12, 13) + data[at + 4 :]
  wanted = _seen_by_hand(plain, "display_p3")
  assert np.abs(load_photo(wide).image - wanted).max() <= 1.01


def test_lab_of_8_bits_becomes_srgb():
  light, a, b = 60, 20, -30
  lab = np.array([round(light * 2.55), a, b % 256], np.uint8)
  data = pictures.tiff(np.tile(lab, (8, 8, 1)), photometric="cielab")
  y = (light + 16) / 116
  f = np.array([y + a / 500, y, y - b / 200])
  xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
  xyz = xyz * profiles.D50
  xyz = profiles.bradford(profiles.D50, profiles.D65) @ xyz
  linear = np.linalg.solve(
    profiles.primaries_matrix(profiles.SPACES["srgb"][0], profiles.D65), xyz
  )
  wanted = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
  assert np.abs(load_photo(data).image - wanted).max() <= 2


def test_training_sees_the_same_colours(cat):
  data = pictures.saved(
    cat, "PNG", icc_profile=profiles.rgb_profile("prophoto")
  )
  np.testing.assert_array_equal(load_rgb(data), load_photo(data).image)
