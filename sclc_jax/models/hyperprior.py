"""The Hyperprior base model (Balle et al. 2018, arXiv 1802.01436)."""

from __future__ import annotations

import flax.linen as nn
import jax

from sclc_jax.nn.likelihoods import EntropyBottleneck
from sclc_jax.nn.transforms import (
  Analysis,
  HyperAnalysis,
  HyperSynthesis,
  Synthesis,
  scale_bias,
)


class Hyperprior(nn.Module):
  """Four transforms and the density of z; y given z is zero-mean Gaussian."""

  N: int
  M: int
  start: str = "xavier"
  conditional: bool = False

  def setup(self):
    self.analysis = Analysis(self.N, self.M, self.start)
    self.synthesis = Synthesis(
      self.N, self.M, self.start, self.conditional
    )
    self.hyper_analysis = HyperAnalysis(self.N)
    self.hyper_synthesis = HyperSynthesis(
      (self.N, self.N, self.M),
      bias_init=scale_bias(self.start, self.N, self.M),
    )
    self.entropy_bottleneck = EntropyBottleneck(self.N)

  def gaussian(self, side: jax.Array) -> tuple[None, jax.Array]:
    """Output of hyper_synthesis to (mean, scale); the mean is none: zero."""
    return None, side
