"""Generalised divisive normalisation (Balle et al. 2016, arXiv 1511.06281)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from sclc_jax.nn.bounds import lower_bound
from sclc_jax.nn.conv import add_bias

_OFFSET = 2.0**-18
_PEDESTAL = _OFFSET**2
_MIN_BETA = 1e-6


def _to_parameter(value: jax.Array) -> jax.Array:
  return jnp.sqrt(jnp.maximum(value + _PEDESTAL, _PEDESTAL))


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
    beta = self.param(
      "beta", lambda _: _to_parameter(jnp.ones((channels,), jnp.float32))
    )
    gamma = self.param(
      "gamma", lambda _: _to_parameter(self.gamma_init * jnp.eye(channels))
    )
    beta = lower_bound(beta, (_MIN_BETA + _PEDESTAL) ** 0.5) ** 2 - _PEDESTAL
    gamma = lower_bound(gamma, _OFFSET) ** 2 - _PEDESTAL
    norm = add_bias((x * x) @ gamma.astype(x.dtype), beta.astype(x.dtype))
    return x * (jnp.sqrt(norm) if self.inverse else jax.lax.rsqrt(norm))
