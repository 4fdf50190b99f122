"""What lies under an alpha of 0 is seen by nobody and costs next to nothing."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import skimage.data

from sclc_jax.codec.rate_control import compress_to
from sclc_jax.images import fill_hidden
from sclc_jax.metrics import psnr_db

IMAGES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=17).flatmap(
  lambda shape: st.sampled_from((2, 4)).flatmap(
    lambda channels: hnp.arrays(np.uint8, (*shape, channels))
  )
)


def _with_circle(under: str, side: int = 128) -> np.ndarray:
  photo = skimage.data.chelsea()[60 : 60 + side, 120 : 120 + side]
  y, x = np.mgrid[:side, :side] - side // 2
  alpha = np.where(y**2 + x**2 < (0.35 * side) ** 2, 255, 0).astype(np.uint8)
  hidden = np.zeros_like(photo)
  if under == "noise":
    hidden = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
  colours = np.where(alpha[..., None] > 0, photo, hidden)
  return np.dstack([colours, alpha])


@hypothesis.given(IMAGES, st.integers(0, 255))
@hypothesis.settings(deadline=None)
def test_the_fill_is_between_visible_colours_and_of_them_alone(image, other):
  image = image.copy()
  image[..., -1] //= 128
  filled = fill_hidden(image)
  seen = image[..., -1] > 0
  np.testing.assert_array_equal(filled[seen], image[seen])
  np.testing.assert_array_equal(filled[..., -1], image[..., -1])
  changed = image.copy()
  changed[~seen, :-1] = other
  np.testing.assert_array_equal(fill_hidden(changed), filled)
  if seen.any():
    colours = image[seen][:, :-1]
    assert (filled[..., :-1] >= colours.min(0)).all()
    assert (filled[..., :-1] <= colours.max(0)).all()


def test_what_has_no_hidden_pixel_is_handed_back():
  for shape in ((3, 4), (3, 4, 3)):
    image = np.zeros(shape, np.uint8)
    assert fill_hidden(image) is image
  image = np.ones((3, 4, 4), np.uint8)
  assert fill_hidden(image) is image


def test_the_same_sight_takes_the_same_bytes(codec):
  black, noise = _with_circle("black"), _with_circle("noise")
  data = codec.compress(noise, 4)
  assert data == codec.compress(black, 4)
  assert data == codec.compress_many([noise], 4)[0]
  alpha = codec.decompress(data)[..., 3]
  np.testing.assert_array_equal(alpha, noise[..., 3])


@pytest.mark.parametrize("under", ["black", "noise"])
def test_a_psnr_target_counts_visible_pixels(codec, under):
  image = _with_circle(under)
  seen = image[..., 3] > 0

  def visible(data: bytes) -> float:
    picture = codec.decompress(data)[..., :3]
    return psnr_db(image[..., :3][seen], picture[seen])

  low, high = (visible(codec.compress(image, q)) for q in (1, 8))
  target = (low + high) / 2
  hit = compress_to(codec, image, "psnr", target)
  assert visible(hit.data) == pytest.approx(hit.value, abs=1e-9)
  assert abs(hit.value - target) < max(0.2, abs(high - low) / 8)


def test_a_picture_of_hidden_pixels_alone_is_coded(codec):
  image = np.zeros((20, 30, 4), np.uint8)
  assert (codec.decompress(codec.compress(image, 3))[..., 3] == 0).all()
