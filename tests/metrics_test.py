import numpy as np
import pytest
import skimage.data

from sclc_jax import metrics


def test_psnr_of_a_known_error():
  x = np.full((8, 8, 3), 100, np.uint8)
  np.testing.assert_allclose(metrics.psnr_db(x, x + 5), 34.1514, atol=1e-3)
  assert metrics.psnr_db(x, x) == float("inf")


def test_ms_ssim_equals_tensorflows():
  tf = pytest.importorskip("tensorflow")
  x = skimage.data.astronaut()[:256, :200]
  noise = np.random.default_rng(0).normal(0, 12, x.shape)
  y = np.clip(x + noise, 0, 255).astype(np.uint8)
  theirs = float(tf.image.ssim_multiscale(x, y, 255))
  np.testing.assert_allclose(metrics.ms_ssim(x, y), theirs, atol=1e-4)


def test_ms_ssim_of_small_images_is_nan():
  x = np.zeros((160, 300, 3), np.uint8)
  assert np.isnan(metrics.ms_ssim(x, x))


def test_bd_rate_of_ten_percent_more_bits():
  bpp, psnr = np.array([0.2, 0.5, 1.0, 1.6]), np.array([28.0, 31, 34, 37])
  value = metrics.bd_rate(bpp, psnr, 1.1 * bpp, psnr)
  np.testing.assert_allclose(value, 10, atol=1e-6)
  assert np.isnan(metrics.bd_rate(bpp, psnr, bpp, psnr + 50))
