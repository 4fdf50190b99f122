import jax
import numpy as np
import pytest
import skimage.data

from sclc_jax import metrics
from sclc_jax.nn.ms_ssim import ms_ssim


def _pair(deviation, size=(192, 177)):
  x = skimage.data.astronaut()[: size[0], 60 : 60 + size[1]]
  noise = np.random.default_rng(0).normal(0, deviation, x.shape)
  return x, np.clip(x + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("deviation", [0, 1, 12, 60])
def test_it_equals_the_metric(deviation):
  x, x_hat = _pair(deviation)
  batch = (image[None].astype(np.float32) for image in (x, x_hat))
  actual = jax.jit(ms_ssim)(*batch)
  assert actual.shape == (1,)
  np.testing.assert_allclose(actual[0], metrics.ms_ssim(x, x_hat), atol=2e-6)


def test_images_of_a_batch_do_not_mix():
  pairs = [_pair(deviation, (161, 161)) for deviation in (3, 30)]
  x, x_hat = (np.stack(side).astype(np.float32) for side in zip(*pairs))
  together = jax.jit(ms_ssim)(x, x_hat)
  for i, pair in enumerate(pairs):
    np.testing.assert_allclose(together[i], metrics.ms_ssim(*pair), atol=2e-6)


def test_the_gradient_is_the_difference_quotient_and_always_finite():
  x, x_hat = (
    image[None].astype(np.float32) for image in _pair(12, (161, 161))
  )
  both = jax.jit(jax.value_and_grad(lambda y, x: ms_ssim(x, y)[0]))
  gradient = both(x_hat, x)[1]
  direction = np.sign(gradient)  # the steepest, where no pixel changes by more
  step = 0.5
  high, low = (both(x_hat + s * direction, x)[0] for s in (step, -step))
  np.testing.assert_allclose(
    np.sum(gradient * direction), (high - low) / (2 * step), rtol=0.02
  )
  for other in (x, 255 - x, np.zeros_like(x)):
    assert np.isfinite(both(other, x)[1]).all()
