"""Metrics of what people see, by packages that are not always installed."""

from __future__ import annotations

import numpy as np

_MIN_SIDE = 8  # of a picture and of its smallest scale
_SCALES = 6
# The recursive Gaussian of deviation 1.5 that SSIMULACRA2 is defined by
# (Charalampidis 2016, as in libjxl's gauss_blur.cc), as the nine values that
# its impulse response has; zero outside the picture.
_HALF = [
  0.00941436780965374,
  0.0360111146583644,
  0.1093353727774603,
  0.2129285920104222,
  0.2646211054881985,
]
_TAPS = np.array([*_HALF, *_HALF[-2::-1]])


def ssimulacra2(x: np.ndarray, x_hat: np.ndarray) -> float:
  """SSIMULACRA2, version 2.1, of a reconstruction.

  From the parts of the package `ssimulacra2`, but for its blur, which is
  another than that of the definition: scores differ by up to 4 (a JPEG of
  quality 20 has 43.7 instead of 45.1).

  Args:
    x: uint8 [H, W, 3] or [H, W].
    x_hat: of the same shape.

  Returns:
    100 for equal pictures; 90 is as good as the original to the eye, 70 high
    quality, 50 medium, 10 very low, and it may be negative. nan under 8 pixels
    a side.
  """
  from ssimulacra2 import ssimulacra2 as package

  if min(x.shape[:2]) < _MIN_SIDE:
    return float("nan")
  pair = [package.srgb_to_linear(_rgb(image)) for image in (x, x_hat)]
  total = package.Msssim()
  for scale in range(_SCALES):
    if scale:
      pair = [package.downsample(linear, 2, 2) for linear in pair]
    if min(pair[0].shape[:2]) < _MIN_SIDE:
      break
    a, b = (
      package.make_positive_xyb(package.linear_rgb_to_xyb(linear))
      for linear in pair
    )
    mean_a, mean_b = blur(a), blur(b)
    part = package.MsssimScale()
    part.avg_ssim = package.ssim_map(
      mean_a, mean_b, blur(a * a), blur(b * b), blur(a * b)
    )
    part.avg_edgediff = package.edge_diff_map(a, mean_a, b, mean_b)
    total.scales.append(part)
  return float(total.score())


def _rgb(image: np.ndarray) -> np.ndarray:
  """Gray as three equal channels."""
  if image.ndim == 2:
    image = np.repeat(image[..., None], 3, 2)
  return image


def blur(x: np.ndarray) -> np.ndarray:
  """Gaussian blur of deviation 1.5 of a picture [H, W, C], see _TAPS."""
  from scipy.ndimage import correlate1d

  for axis in (0, 1):
    x = correlate1d(x, _TAPS, axis, mode="constant")
  return x
