"""Differentiable MS-SSIM: `metrics.ms_ssim` in JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.metrics import MS_SSIM_MIN_SIDE, MS_SSIM_WEIGHTS
from sclc_jax.nn.bounds import lower_bound

_RADIUS = 5
_TAPS = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * 1.5**2))
_TAPS = (_TAPS / _TAPS.sum()).astype(np.float32)
# Each scale's mean is bounded below: weights under 1 have an unbounded
# gradient at 0. Pictures that look like the original lie far above.
_FLOOR = 1e-2


def ms_ssim(x: jax.Array, x_hat: jax.Array) -> jax.Array:
  """MS-SSIM of each image, averaged over channels (Wang et al. 2003).

  Args:
    x: [B, H, W, C] float32 in [0, 255], at least 161 pixels a side.
    x_hat: likewise; need not be clipped.

  Returns:
    [B] in (0, 1]. Equal to the metric within 1e-4 where no scale's mean is
    below 0.01.
  """
  assert min(x.shape[1:3]) >= MS_SSIM_MIN_SIDE
  # Shifted, which SSIM's variances do not see, so that float32 keeps more of
  # them.
  a, b = x - 128.0, x_hat - 128.0
  product = jnp.ones((x.shape[0], x.shape[-1]))
  for scale, weight in enumerate(MS_SSIM_WEIGHTS):
    luminance, contrast = _terms(a, b)
    last = scale == len(MS_SSIM_WEIGHTS) - 1
    term = (luminance * contrast if last else contrast).mean((1, 2))
    product = product * lower_bound(term, _FLOOR) ** float(weight)
    if not last:
      a, b = _halve(a), _halve(b)
  return product.mean(-1)


def _band(size: int) -> jax.Array:
  """[size - 10, size]: the Gaussian average of a line as a matrix."""
  rows = np.arange(size - 2 * _RADIUS)[:, None]
  band = np.zeros((rows.size, size), np.float32)
  band[rows, rows + np.arange(_TAPS.size)] = _TAPS
  return jnp.asarray(band)


def _window(x: jax.Array) -> jax.Array:
  """Gaussian average of [B, H, W, C], without a border.

  Two matrix products: on a CPU, batch 8 of 256x256, value and gradient of the
  whole take 0.4 s so, 4 s with depthwise convolutions and 9 s with shifted
  sums.
  """
  highest = jax.lax.Precision.HIGHEST  # the variances are small differences
  x = jnp.einsum("ih,bhwc->biwc", _band(x.shape[1]), x, precision=highest)
  return jnp.einsum("jw,biwc->bijc", _band(x.shape[2]), x, precision=highest)


def _terms(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Luminance, and contrast times structure, of images less 128."""
  c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
  # Together, as few and large products; each one of its own takes longer to
  # compile, and on accelerators to tune.
  averages = _window(jnp.concatenate([a, b, a * a + b * b, a * b]))
  mean_a, mean_b, squares, product = jnp.split(averages, 4)
  variance = squares - mean_a**2 - mean_b**2
  covariance = product - mean_a * mean_b
  mean_a, mean_b = mean_a + 128.0, mean_b + 128.0
  luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
  return luminance, (2 * covariance + c2) / (variance + c2)


def _halve(x: jax.Array) -> jax.Array:
  odd = [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)]
  x = jnp.pad(x, odd, mode="edge")
  b, h, w, c = x.shape
  return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
