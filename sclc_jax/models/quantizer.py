"""The adaptive quantizer: QV and IQV of each level and channel."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.nn.bounds import lower_limit
from sclc_jax.nn.initial import Draw, constant, start

MIN_STEP = 1e-5


def table_init(kind: str, factor: float) -> Draw:
  """How a table [L, M] starts: ones, or `factor` more a level down."""
  if kind == "ones":
    return constant(1.0)
  # The last level is the top one.
  return lambda rng, shape: factor ** np.arange(shape[0])[::-1, None]


class AdaptiveQuantizer(nn.Module):
  """Tables QV and IQV [L, M], positive.

  Paper, section 3.2: y_hat = round(y / QV_q) * IQV_q, and the scale of the
  entropy model is scale / QV_q. IQV is learned separately; it is not 1 / QV,
  and equals QV only where `inverse` is `shared`.
  """

  levels: int
  M: int
  start: str = "ones"
  inverse: str = "separate"

  def setup(self):
    shape = (self.levels, self.M)
    # High-rate theory: the best QV goes with lmbda ** -1/2.
    init = start(table_init(self.start, 2.0**0.5))
    self.qv = self.param("qv", init, shape)
    if self.inverse == "separate":
      self.iqv = self.param("iqv", init, shape)

  def __call__(self) -> tuple[jax.Array, jax.Array]:
    """(QV, IQV), each [L, M]."""
    qv = lower_limit(self.qv, 0.0) + MIN_STEP
    if self.inverse == "shared":
      return qv, qv
    return qv, lower_limit(self.iqv, 0.0) + MIN_STEP


def unit_tables(levels: int, M: int) -> tuple[jax.Array, jax.Array]:
  """QV and IQV of a model without the quantizer: ones."""
  ones = jnp.ones((levels, M))
  return ones, ones
