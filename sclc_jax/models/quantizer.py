"""The adaptive quantizer: a step and an inverse step per level and channel."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from sclc_jax.nn.bounds import lower_bound

MIN_STEP = 1e-5


class AdaptiveQuantizer(nn.Module):
  """Tables QV and IQV [L, M], positive, started from ones.

  Paper, section 3.2: y_hat = round(y / QV_q) * IQV_q, and the scale of the
  entropy model is scale / QV_q. IQV is learned separately; it is not 1 / QV.
  """

  levels: int
  M: int

  def setup(self):
    shape = (self.levels, self.M)
    self.qv = self.param("qv", nn.initializers.ones, shape)
    self.iqv = self.param("iqv", nn.initializers.ones, shape)

  def __call__(self) -> tuple[jax.Array, jax.Array]:
    """(QV, IQV), each [L, M]."""
    return (
      lower_bound(self.qv, 0.0) + MIN_STEP,
      lower_bound(self.iqv, 0.0) + MIN_STEP,
    )


def unit_steps(levels: int, M: int) -> tuple[jax.Array, jax.Array]:
  """QV and IQV of a model without the quantizer: ones."""
  ones = jnp.ones((levels, M))
  return ones, ones
