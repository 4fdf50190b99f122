"""exp, log and the normal distribution, bit for bit alike on every machine.

The last bits of a library's functions differ between versions and processors.
The functions of this file use only float64 sums, products, quotients and
rounding, one array operation each. IEEE 754 defines every bit of these. So the
tables that export builds are the same everywhere. Errors are some 1e-15.
"""

from __future__ import annotations

import math

import numpy as np

# ln 2 in two parts: the first has trailing zeros, so that k times it is exact.
_LN2 = (0.693147180369123816490, 1.90821492927058770002e-10)
_EXP_TERMS = [1.0 / math.factorial(k) for k in range(14, -1, -1)]
_LOG_TERMS = [1.0 / k for k in range(27, 0, -2)]
_SQRT_HALF = 0.7071067811865476
_NORMAL = 0.3989422804014327  # 1 / sqrt(2 pi)
_FRACTION = 3.0  # deviations from which on the continued fraction serves
_SERIES_TERMS, _FRACTION_TERMS = 60, 80


def exp(x) -> np.ndarray:
  """e ** x; 0 below the range of float64, its largest powers above."""
  x = np.clip(np.asarray(x, np.float64), -746.0, 709.0)
  k = np.floor(x * (1.0 / (_LN2[0] + _LN2[1])) + 0.5)
  x = (x - k * _LN2[0]) - k * _LN2[1]
  power = np.zeros_like(x)
  for term in _EXP_TERMS:
    power = power * x + term
  return np.ldexp(power, k.astype(np.int32))


def log(x) -> np.ndarray:
  """Natural logarithm of positive numbers."""
  mantissa, exponent = np.frexp(np.asarray(x, np.float64))
  low = mantissa < _SQRT_HALF
  mantissa = np.where(low, 2 * mantissa, mantissa)
  k = (exponent - low).astype(np.float64)
  ratio = (mantissa - 1) / (mantissa + 1)
  square, series = ratio * ratio, np.zeros_like(ratio)
  for term in _LOG_TERMS:
    series = series * square + term
  return k * _LN2[0] + (k * _LN2[1] + 2 * ratio * series)


def softplus(x) -> np.ndarray:
  """log(1 + e ** x)."""
  return np.maximum(x, 0) + log(1 + exp(-np.abs(x)))


def tanh(x) -> np.ndarray:
  """Hyperbolic tangent."""
  small = exp(-2 * np.abs(x))
  return np.copysign((1 - small) / (1 + small), x)


def sigmoid(x) -> np.ndarray:
  """1 / (1 + e ** -x)."""
  return 1 / (1 + exp(-np.asarray(x, np.float64)))


def ndtr(x) -> np.ndarray:
  """Mass of the standard normal distribution below x."""
  x = np.asarray(x, np.float64)
  size = np.abs(x)
  density = _NORMAL * exp(-0.5 * (size * size))
  near, far = np.minimum(size, _FRACTION), np.maximum(size, _FRACTION)
  term = total = near  # x + x**3 / 3 + x**5 / (3 5) + ...
  for n in range(1, _SERIES_TERMS):
    term = term * (near * near) / (2 * n + 1)
    total = total + term
  fraction = far  # x + 1 / (x + 2 / (x + ...
  for n in range(_FRACTION_TERMS, 0, -1):
    fraction = far + n / fraction
  above = np.where(
    size < _FRACTION, 0.5 - density * total, density / fraction
  )
  return np.where(x < 0, above, 1 - above)


def total(values) -> float:
  """Sum of numbers, rounded once, whatever their order."""
  return math.fsum(np.ravel(values).tolist())


def floor_log2(x) -> np.ndarray:
  """Integer k with 2 ** k <= x < 2 ** (k + 1), of positive numbers."""
  return np.frexp(np.asarray(x, np.float64))[1] - 1
