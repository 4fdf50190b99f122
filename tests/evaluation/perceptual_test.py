import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax.evaluation import perceptual


def _jpeg(image, quality):
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, "JPEG", quality=quality)
  return np.asarray(Image.open(buffer))


def _recursive(x):
  """The blur of a row, equation by equation of Charalampidis 2016."""
  sigma, radius = 1.5, 5
  omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
  p = np.array([1, -1, 1]) / np.tan(omega / 2)
  r = np.array([1, -1, 1]) * p**2 / np.sin(omega)
  rho = np.exp(-(sigma**2) * omega**2 / 2) / radius
  cross = np.cross(p, r)
  zeta = cross[:2] / cross[2]
  matrix = np.array([p, r, [*zeta, 1]])
  wanted = [1, radius**2 - sigma**2, zeta @ rho[:2] + rho[2]]
  beta = np.linalg.solve(matrix, wanted)
  gain = -beta * np.cos(omega * (radius + 1))
  previous = before = np.zeros(3)
  out = np.zeros(len(x))
  padded = np.pad(x, 2 * radius)
  for n in range(1 - radius, len(x)):
    at = n + 2 * radius
    total = padded[at - radius - 1] + padded[at + radius - 1]
    now = total * gain + 2 * np.cos(omega) * previous - before
    before, previous = previous, now
    if n >= 0:
      out[n] = now.sum()
  return out


def test_the_blur_is_the_recursive_gaussian_of_the_definition():
  x = np.random.default_rng(0).random((1, 40, 1))
  # One row: the vertical pass leaves the middle tap.
  middle = _recursive(np.array([0.0] * 8 + [1] + [0] * 8))[8]
  np.testing.assert_allclose(
    perceptual.blur(x)[0, :, 0], middle * _recursive(x[0, :, 0]), atol=1e-12
  )


def test_the_score_is_100_of_equals_and_falls_with_the_quality():
  image = skimage.data.astronaut()[:200, 100:301]
  for picture in (image, image[..., 0]):
    scores = [
      perceptual.ssimulacra2(picture, _jpeg(picture, quality))
      for quality in (5, 30, 60, 95)
    ]
    assert perceptual.ssimulacra2(picture, picture) == 100
    assert scores == sorted(scores) and scores[0] < 50 and 70 < scores[-1] < 100


def test_gray_counts_as_three_equal_channels():
  gray = skimage.data.camera()[:64, :80]
  worse = _jpeg(gray, 30)
  assert perceptual.ssimulacra2(gray, worse) == perceptual.ssimulacra2(
    np.dstack([gray] * 3), np.dstack([worse] * 3)
  )


@pytest.mark.parametrize("shape", [(7, 40), (40, 7, 3), (1, 1, 3)])
def test_what_is_too_small_to_measure_is_nan(shape):
  image = np.zeros(shape, np.uint8)
  assert np.isnan(perceptual.ssimulacra2(image, image))
