"""Differentiable likelihoods, as TFC's noisy distributions, in JAX.

Each gives the bits of one element: -log2 of its probability mass under a
density convolved with U(-1/2, 1/2).
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.nn.bounds import lower_bound
from sclc_jax.nn.initial import constant, start, uniform, zeros

SCALE_MIN = 0.11
LIKELIHOOD_MIN = 1e-9


def to_bits(likelihood: jax.Array) -> jax.Array:
  """-log2 of a probability bounded below by 1e-9."""
  bounded = lower_bound(likelihood, LIKELIHOOD_MIN)
  return -jnp.log(bounded) / jnp.log(2.0)


def normal_likelihood(y: jax.Array, scale: jax.Array) -> jax.Array:
  """Mass of a zero-mean noisy normal (twin of TFC's `NoisyNormal`).

  Args:
    y: values, any shape.
    scale: deviations, bounded below by 0.11 here, with a passing gradient.

  Returns:
    Likelihoods in [0, 1], of y's shape.
  """
  return _normal_mass(y, lower_bound(scale, SCALE_MIN))


def _normal_mass(y: jax.Array, scale: jax.Array) -> jax.Array:
  distance = jnp.abs(y)
  # In the left tail the difference keeps its precision.
  upper = jax.scipy.special.ndtr((0.5 - distance) / scale)
  lower = jax.scipy.special.ndtr((-0.5 - distance) / scale)
  return upper - lower


class ScaleMixture(nn.Module):
  """Zero-mean normals of several scales, convolved with U(-1/2, 1/2).

  Each is a multiple of the predicted scale. Multiples and weights are learned,
  a few numbers for the whole model: what y is like where the prediction is
  imperfect, more peaked and with longer tails than a normal.

  Attributes:
    components: how many normals.
  """

  components: int = 3

  def setup(self):
    shape = (self.components,)
    self.logits = self.param("logits", start(zeros), shape)
    self.log_multiples = self.param(
      "log_multiples",
      start(lambda rng, shape: np.linspace(-0.5, 0.5, *shape)),
      shape,
    )

  def mixture(self) -> tuple[jax.Array, jax.Array]:
    """(weights, multiples of the scale), each [components]."""
    return jax.nn.softmax(self.logits), jnp.exp(self.log_multiples)

  def __call__(self, y: jax.Array, scale: jax.Array) -> jax.Array:
    """As `normal_likelihood`."""
    # Components along an axis: one program for all is compiled sooner.
    each = (-1,) + y.ndim * (1,)
    weights, multiples = (values.reshape(each) for values in self.mixture())
    scale = multiples * lower_bound(scale, SCALE_MIN)
    return (weights * _normal_mass(y, scale)).sum(0)


def matrix_start(width: float, outputs: int, layers: int = 4) -> float:
  """What the matrices of `EntropyBottleneck` start with, all of one.

  Args:
    width: of the density.
    outputs: of the layer.
    layers: how many there are.
  """
  return math.log(math.expm1(width ** (-1 / layers) / outputs))


class EntropyBottleneck(nn.Module):
  """Fully factorised learned density per channel (1802.01436, appendix 6.1).

  Twin of TFC's `NoisyDeepFactorized`.

  Attributes:
    channels: C.
    filters: widths of the hidden layers of the cumulative.
    init_scale: width of the density at the start.
  """

  channels: int
  filters: tuple[int, ...] = (3, 3, 3)
  init_scale: float = 10.0

  def setup(self):
    widths = (1, *self.filters, 1)
    layers = []
    for i, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:])):
      value = matrix_start(self.init_scale, outputs, len(widths) - 1)
      shape = (self.channels, outputs, inputs)
      matrix = self.param(f"matrix_{i}", start(constant(value)), shape)
      shape = (self.channels, outputs, 1)
      bias = self.param(f"bias_{i}", start(uniform(0.5)), shape)
      factor = None
      if i < len(self.filters):
        factor = self.param(f"factor_{i}", start(zeros), shape)
      layers.append((matrix, bias, factor))
    self.layers = layers

  def _logits(self, z: jax.Array) -> jax.Array:
    for matrix, bias, factor in self.layers:
      z = jax.nn.softplus(matrix) @ z + bias
      if factor is not None:
        z = z + jnp.tanh(factor) * jnp.tanh(z)
    return z

  def __call__(self, z: jax.Array) -> jax.Array:
    """Likelihood of each element of z [..., C], in [0, 1]."""
    columns = jnp.moveaxis(z, -1, 0).reshape(self.channels, 1, -1)
    ends = jnp.concatenate([columns - 0.5, columns + 0.5], -1)
    lower, upper = jnp.split(self._logits(ends), 2, -1)
    # Computed in the tail on the element's own side, where it is precise.
    sign = jax.lax.stop_gradient(-jnp.sign(lower + upper))
    mass = jnp.abs(jax.nn.sigmoid(sign * upper) - jax.nn.sigmoid(sign * lower))
    shape = (self.channels, *z.shape[:-1])
    return jnp.moveaxis(mass.reshape(shape), 0, -1)
