"""Generalised divisive normalisation (Balle et al. 2016, arXiv 1511.06281)."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.nn.bounds import lower_limit
from sclc_jax.nn.conv import conv
from sclc_jax.nn.initial import start
from sclc_jax.nn.target import platform

_OFFSET = 2.0**-18
_PEDESTAL = _OFFSET**2
# Of the parameters, which are roots.
LIMITS = {"beta": (1e-6 + _PEDESTAL) ** 0.5, "gamma": _OFFSET}


def _across_channels(x: jax.Array, matrix: jax.Array) -> jax.Array:
  """x [..., C] @ matrix [C, C].

  For a TPU it is a convolution, so that it has the layout of the convolutions
  around it: as a matrix product XLA copies its operands and its result.
  """
  if _is_convolution(x):
    return conv(x, matrix[None, None])
  return x @ matrix


def _is_convolution(x: jax.Array) -> bool:
  return platform() == "tpu" and x.ndim == 4


def _product_gradients(x, matrix, ct):
  """Gradients of both arguments of `_across_channels`."""
  if _is_convolution(x):
    return jax.vjp(_across_channels, x, matrix)[1](ct)
  rows = ct.reshape(-1, ct.shape[-1])  # the other order is slow on CPUs
  return ct @ matrix.T, x.reshape(rows.shape).T @ rows


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(
  x: jax.Array, gamma: jax.Array, beta: jax.Array, inverse: bool
) -> jax.Array:
  """x / sqrt(beta + x^2 gamma), or times the root when `inverse`.

  Its gradient is written out, and stores x and the sum under the root: less
  time and memory on a CPU than what autodiff stores.

  Args:
    x: [..., C].
    gamma: [C, C], from input to output channel.
    beta: [C].
    inverse: multiplies instead of dividing.
  """
  norm = _across_channels(x * x, gamma) + beta
  return x * (jnp.sqrt(norm) if inverse else jax.lax.rsqrt(norm))


def _forward(x, gamma, beta, inverse):
  norm = _across_channels(x * x, gamma) + beta
  out = x * (jnp.sqrt(norm) if inverse else jax.lax.rsqrt(norm))
  return out, (x, gamma, norm)


def _backward(inverse, residuals, ct):
  x, gamma, norm = residuals
  root = jax.lax.rsqrt(norm)
  if inverse:
    factor, slope = norm * root, 0.5 * root
  else:
    factor, slope = root, -0.5 * root * root * root
  d_norm = ct * x * slope
  d_square, d_gamma = _product_gradients(x * x, gamma, d_norm)
  rows = d_norm.reshape(-1, d_norm.shape[-1])
  d_beta = jnp.ones(rows.shape[0], rows.dtype) @ rows
  return ct * factor + 2 * x * d_square, d_gamma, d_beta


normalise.defvjp(_forward, _backward)


def _to_parameter(value: np.ndarray) -> np.ndarray:
  return np.sqrt(np.maximum(value + _PEDESTAL, _PEDESTAL))


class GDN(nn.Module):
  """x / sqrt(beta + gamma x^2), or times the root when `inverse`.

  Attributes:
    inverse: computes IGDN.
    gamma_init: initial diagonal of gamma; beta starts at 1.
  """

  inverse: bool = False
  gamma_init: float = 0.1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[..., C] to [..., C]."""
    channels = x.shape[-1]
    diagonal = self.gamma_init
    beta = self.param(
      "beta",
      start(lambda rng, shape: _to_parameter(np.ones(shape))),
      (channels,),
    )
    gamma = self.param(
      "gamma",
      start(lambda rng, shape: _to_parameter(diagonal * np.eye(*shape))),
      (channels, channels),
    )
    beta = lower_limit(beta, LIMITS["beta"]) ** 2 - _PEDESTAL
    gamma = lower_limit(gamma, LIMITS["gamma"]) ** 2 - _PEDESTAL
    gamma, beta = gamma.astype(x.dtype), beta.astype(x.dtype)
    return normalise(x, gamma, beta, self.inverse)
