"""Selection: importance map, adjustment curves and mask (SCR, section 3.1)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from sclc_jax.models.quantizer import table_init
from sclc_jax.nn.bounds import (
  lower_bound,
  lower_limit,
  safe_power,
  straight_through,
)
from sclc_jax.nn.initial import constant, start, xavier, zeros
from sclc_jax.nn.transforms import Conv


class Selector(nn.Module):
  """The only parts that selection adds: a 1x1 convolution and gamma [L, M].

  Attributes:
    levels: L.
    M: channels of y.
    bias: initial bias of the importance head, on top of the paper's 0.5.
    start: gamma at the start, see `config.ModelConfig.table_init`.
    curve: which gamma is learned, see `config.ModelConfig.curves`.
  """

  levels: int
  M: int
  bias: float = 0.0
  start: str = "ones"
  curve: str = "channel"

  def setup(self):
    # With a random kernel important elements are dropped from the first step.
    kernel_init = zeros if self.start == "geometric" else xavier
    self.head = Conv(
      self.M, 1, kernel_init=kernel_init, bias_init=constant(self.bias)
    )
    if self.curve != "none":
      width = self.M if self.curve == "channel" else 1
      init = start(table_init(self.start, 2.0**0.25))
      self.gamma = self.param("gamma", init, (self.levels, width))

  def importance(self, features: jax.Array) -> jax.Array:
    """Penultimate features [B, h, w, F] to importance [B, h, w, M] in [0, 1].

    It does not depend on the quality level. The clip passes the gradients
    that would bring a value back inside.
    """
    raw = self.head(features) + 0.5
    return 1.0 - lower_bound(1.0 - lower_bound(raw, 0.0), 0.0)

  def curves(self) -> jax.Array:
    """Exponents gamma [L, M], >= 0."""
    shape = (self.levels, self.M)
    if self.curve == "none":
      return jnp.ones(shape)
    return jnp.broadcast_to(lower_limit(self.gamma, 0.0), shape)


def draw_mask(
  importance: jax.Array, gamma: jax.Array, noise: jax.Array
) -> jax.Array:
  """The training mask: Bernoulli with probability importance ** gamma.

  Args:
    importance: [B, h, w, M] in [0, 1].
    gamma: broadcastable exponents, >= 0.
    noise: U(0, 1), of importance's shape.

  Returns:
    0 or 1 per element, with the gradient of the probability
    (straight-through).
  """
  probability = safe_power(importance, gamma)
  hard = (noise < probability).astype(probability.dtype)
  return straight_through(hard, probability)


def select(importance: jax.Array, gamma: jax.Array) -> jax.Array:
  """The mask at inference: round(importance ** gamma); a tie rounds to 0.

  Equivalently importance > 0.5 ** (1 / gamma), the form that the codec uses.
  """
  return safe_power(importance, jnp.asarray(gamma)) > 0.5
