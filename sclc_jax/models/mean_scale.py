"""The Mean-scale base model, and Context (Minnen et al. 2018, 1809.02736)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from sclc_jax.models.context import ContextModel
from sclc_jax.nn.likelihoods import EntropyBottleneck
from sclc_jax.nn.transforms import (
  Analysis,
  HyperAnalysis,
  HyperSynthesis,
  Synthesis,
  gaussian_inits,
)


class MeanScale(nn.Module):
  """Four transforms and the density of z; y is Gaussian with a mean.

  Attributes:
    N: width of the transforms and of z.
    M: width of y.
    start: see `config.ModelConfig.init`.
    order: order of the context model, a key of `context.TAPS`; empty for none.
    hyper_input: see `config.ModelConfig.hyper_input`.
    conditional: see `nn.transforms.Synthesis`.
  """

  N: int
  M: int
  start: str = "xavier"
  order: str = ""
  hyper_input: str = "signed"
  conditional: bool = False

  def setup(self):
    self.analysis = Analysis(self.N, self.M, self.start)
    self.synthesis = Synthesis(
      self.N, self.M, self.start, self.conditional
    )
    self.hyper_analysis = HyperAnalysis(self.N, self.hyper_input)
    widths = (self.M, 3 * self.M // 2, 2 * self.M)
    if self.order:
      self.hyper_synthesis = HyperSynthesis(widths, signed=True)
      self.context_model = ContextModel(self.N, self.M, self.start, self.order)
    else:
      inits = gaussian_inits(self.start, self.N, self.M)
      self.hyper_synthesis = HyperSynthesis(
        widths, signed=True, kernel_init=inits[0], bias_init=inits[1]
      )
    self.entropy_bottleneck = EntropyBottleneck(self.N)

  def gaussian(
    self, side: jax.Array, y_hat: jax.Array | None = None
  ) -> tuple[jax.Array, jax.Array]:
    """Output of hyper_synthesis to (mean, scale), each [B, h, w, M].

    Args:
      side: [B, h, w, 2M].
      y_hat: [B, h, w, M], what the context model sees, if there is one.
    """
    if self.order:
      side = self.context_model(side, y_hat)
    mean, scale = jnp.split(side, 2, -1)
    return mean, scale
