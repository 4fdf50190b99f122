"""Distortion measures and the BD-rate."""

from __future__ import annotations

import numpy as np

# Wang, Simoncelli and Bovik 2003, "Multi-scale structural similarity".
MS_SSIM_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
MS_SSIM_MIN_SIDE = 161  # five scales of an 11x11 window


def psnr_of_mse(mse: np.ndarray | float) -> np.ndarray:
  """PSNR in dB of mean squared errors on the 0..255 scale; inf where 0."""
  with np.errstate(divide="ignore"):
    return 10 * np.log10(255.0**2 / np.asarray(mse, np.float64))


def psnr_db(
  x: np.ndarray, x_hat: np.ndarray, visible: np.ndarray | None = None
) -> float:
  """PSNR in dB of uint8 images of one shape; inf where they are equal.

  Args:
    x: [H, W, ...].
    x_hat: likewise.
    visible: bool [H, W], the pixels that count; all if None.
  """
  if visible is not None:
    x, x_hat = x[visible], x_hat[visible]
  error = np.subtract(x, x_hat, dtype=np.float64)
  return float(psnr_of_mse(np.vdot(error, error) / error.size))


def visible_psnr_db(x: np.ndarray, x_hat: np.ndarray) -> float:
  """`psnr_db` of the colours, where an alpha in the last channel is above 0."""
  if x.ndim == 2 or x.shape[2] == 3:
    return psnr_db(x, x_hat)
  visible = x[..., -1] > 0
  if not visible.any():
    return float("inf")
  return psnr_db(x[..., :-1], x_hat[..., :-1], visible)


# Our own: scikit-image and dm-pix have SSIM at one scale only, and what has
# MS-SSIM needs PyTorch or TensorFlow. The tests hold it against TensorFlow's
# and against one composed of scikit-image's single scales.
def ms_ssim(x: np.ndarray, x_hat: np.ndarray) -> float:
  """MS-SSIM in [0, 1] of uint8 images, averaged over channels.

  11x11 Gaussian window of deviation 1.5, five scales, 2x2 averages between.
  nan under 161 pixels a side.
  """
  if min(x.shape[:2]) < MS_SSIM_MIN_SIDE:
    return float("nan")
  a, b = (np.atleast_3d(image).astype(np.float64) for image in (x, x_hat))
  product = np.ones(a.shape[2])
  for scale, weight in enumerate(MS_SSIM_WEIGHTS):
    luminance, contrast = _ssim_terms(a, b)
    last = scale == len(MS_SSIM_WEIGHTS) - 1
    term = (luminance * contrast if last else contrast).mean((0, 1))
    product *= np.maximum(term, 0) ** weight
    a, b = _halve(a), _halve(b)
  return float(product.mean())


def ms_ssim_db(value: np.ndarray | float) -> np.ndarray:
  """MS-SSIM in 0..1 as -10 log10(1 - x), in dB; at most 100."""
  return -10 * np.log10(np.maximum(1 - np.asarray(value, float), 1e-10))


def _window(x: np.ndarray) -> np.ndarray:
  from scipy.ndimage import correlate1d

  n = np.arange(-5, 6)
  taps = np.exp(-(n**2) / (2 * 1.5**2))
  taps /= taps.sum()
  x = correlate1d(correlate1d(x, taps, 0), taps, 1)
  return x[5:-5, 5:-5]


def _ssim_terms(a, b):
  c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
  mean_a, mean_b = _window(a), _window(b)
  variance = _window(a * a + b * b) - mean_a**2 - mean_b**2
  covariance = _window(a * b) - mean_a * mean_b
  luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
  return luminance, (2 * covariance + c2) / (variance + c2)


def _halve(x: np.ndarray) -> np.ndarray:
  # An odd side repeats its last line, as TensorFlow has it.
  x = np.pad(x, [(0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)], "edge")
  return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def bd_rate(
  anchor_bpp: np.ndarray,
  anchor_psnr: np.ndarray,
  bpp: np.ndarray,
  psnr: np.ndarray,
) -> float:
  """Mean rate difference in percent at equal PSNR; negative is better.

  PCHIP on log-rate by the package `bjontegaard`; nan where the PSNR ranges of
  the curves do not overlap. Another metric in dB may stand for PSNR.
  """
  import bjontegaard

  curves = []
  for rate, quality in ((anchor_bpp, anchor_psnr), (bpp, psnr)):
    quality, first = np.unique(quality, return_index=True)
    curves += [np.asarray(rate)[first], quality]
  if min(curves[1][-1], curves[3][-1]) <= max(curves[1][0], curves[3][0]):
    return float("nan")
  return float(
    bjontegaard.bd_rate(
      *curves, method="pchip", require_matching_points=False, min_overlap=0
    )
  )
