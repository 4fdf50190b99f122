"""Bounds and roundings whose gradients help training."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def lower_bound(x: jax.Array, bound: float) -> jax.Array:
  """max(x, bound), with a gradient that can raise x back above the bound.

  The gradient is passed where x >= bound or where a descent step along it
  raises x (as TFC's `lower_bound` does).
  """
  return jnp.maximum(x, bound)


def _forward(x, bound):
  return jnp.maximum(x, bound), x >= bound


def _backward(bound, inside, g):
  del bound
  return (jnp.where(inside | (g < 0), g, 0.0),)


lower_bound.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def lower_limit(parameter: jax.Array, limit: float) -> jax.Array:
  """max(parameter, limit), with the gradient of the parameter itself.

  For parameters. The rule of `lower_bound` is not a sum over examples, so
  applied to parts of a batch it gives another gradient than the whole batch's:
  `train.optim.hold_at_limits` applies it, once all are added.
  """
  return jnp.maximum(parameter, limit)


lower_limit.defvjp(
  lambda parameter, limit: (jnp.maximum(parameter, limit), None),
  lambda limit, unused, g: (g,),
)


def straight_through(hard: jax.Array, soft: jax.Array) -> jax.Array:
  """The value of `hard` with the gradient of `soft`."""
  return soft + jax.lax.stop_gradient(hard - soft)


def safe_power(base: jax.Array, exponent: jax.Array) -> jax.Array:
  """base ** exponent with finite gradients on [0, 1] x [0, inf).

  The naive form gives NaN (0 * -inf) at base 0. Here 0 ** g is 0 for g > 0
  and 1 for g = 0, and no gradient flows from base 0, where it is not finite.
  """
  positive = base > 1e-6
  power = jnp.exp(exponent * jnp.log(jnp.where(positive, base, 1.0)))
  return jnp.where(positive, power, jnp.where(exponent > 0, 0.0, 1.0))
