import numpy as np
import pytest
import skimage.data
import skimage.metrics

from sclc_jax import metrics


def test_psnr_of_a_known_error():
  x = np.full((8, 8, 3), 100, np.uint8)
  np.testing.assert_allclose(metrics.psnr_db(x, x + 5), 34.1514, atol=1e-3)
  assert metrics.psnr_db(x, x) == float("inf")


def _noisy(height, width, deviation=12):
  x = skimage.data.astronaut()[:height, :width]
  noise = np.random.default_rng(0).normal(0, deviation, x.shape)
  return x, np.clip(x + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(256, 200), (161, 175)])
def test_ms_ssim_equals_tensorflows(size):
  tf = pytest.importorskip("tensorflow")
  x, y = _noisy(*size)
  theirs = float(tf.image.ssim_multiscale(x, y, 255))
  np.testing.assert_allclose(metrics.ms_ssim(x, y), theirs, atol=2e-5)


@pytest.mark.parametrize("deviation", [2, 12, 60])
def test_ms_ssim_equals_one_made_of_scikit_images_scales(deviation):
  x, y = _noisy(192, 224, deviation)
  a, b = x.astype(float), y.astype(float)
  expected = np.ones(3)
  for scale, weight in enumerate(metrics.MS_SSIM_WEIGHTS):
    # With a huge K1 the luminance is 1, and contrast times structure is left.
    k1 = 0.01 if scale == 4 else 1e6
    ssim = skimage.metrics.structural_similarity(
      a, b, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5,
      use_sample_covariance=False, K1=k1, full=True,
    )[1]  # fmt: skip
    expected *= ssim[5:-5, 5:-5].mean((0, 1)) ** weight
    if scale == 4:
      break
    shape = (a.shape[0] // 2, 2, a.shape[1] // 2, 2, 3)
    a, b = a.reshape(shape).mean((1, 3)), b.reshape(shape).mean((1, 3))
  np.testing.assert_allclose(metrics.ms_ssim(x, y), expected.mean(), atol=1e-9)


def test_ms_ssim_in_db():
  np.testing.assert_allclose(metrics.ms_ssim_db([0.9, 0.99, 1]), [10, 20, 100])


def test_ms_ssim_of_small_images_is_nan():
  x = np.zeros((160, 300, 3), np.uint8)
  assert np.isnan(metrics.ms_ssim(x, x))
  x = np.zeros((161, 300, 3), np.uint8)
  assert metrics.ms_ssim(x, x) == 1


def test_bd_rate_of_ten_percent_more_bits():
  bpp, psnr = np.array([0.2, 0.5, 1.0, 1.6]), np.array([28.0, 31, 34, 37])
  value = metrics.bd_rate(bpp, psnr, 1.1 * bpp, psnr)
  np.testing.assert_allclose(value, 10, atol=1e-6)
  assert np.isnan(metrics.bd_rate(bpp, psnr, bpp, psnr + 50))
