"""Analysis, synthesis and the hyper transforms (Balle et al. 2018).

Widths N and M as in arXiv 1802.01436, figure 4. All take and give
[B, H, W, C] with H and W multiples of the stride.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.nn import wavelet
from sclc_jax.nn.conv import add_bias, conv, conv_down, conv_up
from sclc_jax.nn.gdn import GDN
from sclc_jax.nn.initial import Draw, start, xavier, zeros

# The leaky ReLU's slope, 13 / 2 ** 6, is near TensorFlow's 0.2 and exact in
# the integers of the control path.
LEAK_FACTOR, LEAK_BITS = 13, 6


def leaky_relu(x: jax.Array) -> jax.Array:
  """max(x, 13/64 x)."""
  return nn.leaky_relu(x, LEAK_FACTOR / 2**LEAK_BITS)


_RESIZES = {"same": conv, "down": conv_down, "up": conv_up}


class Conv(nn.Module):
  """A convolution with bias: same size, half the size, or twice the size.

  Attributes:
    features: output channels.
    size: kernel height and width.
    resize: `same`, `down` (stride 2) or `up` (transposed, stride 2).
    kernel_init: starts [size, size, I, features].
    bias_init: starts [features].
  """

  features: int
  size: int = 5
  resize: str = "same"
  kernel_init: Draw = xavier
  bias_init: Draw = zeros

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param("kernel", start(self.kernel_init), shape)
    bias = self.param("bias", start(self.bias_init), (self.features,))
    x = _RESIZES[self.resize](x, kernel.astype(x.dtype))
    return add_bias(x, bias.astype(x.dtype))


class ConditionalConv(nn.Module):
  """`Conv`, whose kernel and bias are lines in a condition.

  They are kernel + t * kernel_slope and bias + t * bias_slope, with t in
  [-1, 1] at each position.

  Attributes:
    features: output channels.
    size: kernel height and width.
    resize: `same` or `up`.
    kernel_init: starts `kernel`, [size, size, I, features]; slopes start at 0.
  """

  features: int
  size: int = 5
  resize: str = "up"
  kernel_init: Draw = xavier

  @nn.compact
  def __call__(self, x: jax.Array, t: jax.Array) -> jax.Array:
    """x [B, H, W, I]; t [B, H', W', 1] as the output has it, or one number."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    convolve = _RESIZES[self.resize]
    kernel = self.param("kernel", start(self.kernel_init), shape)
    kernel_slope = self.param("kernel_slope", start(zeros), shape)
    bias = self.param("bias", start(zeros), (self.features,))
    bias_slope = self.param("bias_slope", start(zeros), (self.features,))
    if t.size == 1:  # the same kernel everywhere
      t = t.reshape(())
      x = convolve(x, (kernel + t * kernel_slope).astype(x.dtype))
      return add_bias(x, (bias + t * bias_slope).astype(x.dtype))
    # One convolution for both: two narrow ones cost more than a wider one.
    kernels = jnp.concatenate([kernel, kernel_slope], -1)
    both = convolve(x, kernels.astype(x.dtype))
    biases = jnp.concatenate([bias, bias_slope])
    both = add_bias(both, biases.astype(x.dtype))
    t = t.astype(x.dtype)
    return both[..., : self.features] + t * both[..., self.features :]


def at_positions(t: jax.Array, y: jax.Array, scale: int) -> jax.Array:
  """What `ConditionalConv` takes: t [B, scale H, scale W, 1], or one number.

  Args:
    t: one number, or what broadcasts to [B, H, W].
    y: [B, H, W, C].
    scale: of the layer's output, against y.
  """
  if t.size == 1:
    return t
  t = jnp.broadcast_to(t, y.shape[:3])[..., None]
  return t.repeat(scale, 1).repeat(scale, 2)


def _analysis_kernel(init: str, N: int, M: int, stage: int) -> Draw:
  if init == "xavier":
    return xavier

  def kernel(rng, shape):
    fixed = wavelet.cascade(N, M)[0][stage]
    return wavelet.add_noise(fixed, xavier(rng, shape))

  return kernel


def _synthesis_kernel(init: str, N: int, M: int, stage: int) -> Draw:
  if init == "xavier":
    return xavier

  def kernel(rng, shape):
    fixed = wavelet.cascade(N, M)[0][stage].swapaxes(2, 3)
    fixed = fixed / wavelet.GAINS[stage] ** 2
    return wavelet.add_noise(fixed, xavier(rng, shape))

  return kernel


def _gamma(init: str, stage: int) -> float:
  return 0.1 if init == "xavier" else wavelet.GAMMAS[stage]


class Analysis(nn.Module):
  """x in [-1, 1], [B, H, W, 3], to y [B, H/16, W/16, M]."""

  N: int
  M: int
  start: str = "xavier"

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    for stage, width in enumerate((self.N, self.N, self.N, self.M)):
      kernel_init = _analysis_kernel(self.start, self.N, self.M, stage)
      x = Conv(width, 5, "down", kernel_init, name=f"conv_{stage}")(x)
      if stage < 3:
        x = GDN(gamma_init=_gamma(self.start, stage), name=f"gdn_{stage}")(x)
    return x


class Synthesis(nn.Module):
  """y_hat [B, H/16, W/16, M] to x_hat about [-1, 1], [B, H, W, 3].

  Attributes:
    N: width.
    M: width of y.
    start: how kernels start, see `config.ModelConfig.init`.
    conditional: the last layer follows the quality.
  """

  N: int
  M: int
  start: str = "xavier"
  conditional: bool = False

  @nn.compact
  def __call__(self, y: jax.Array, t: jax.Array) -> jax.Array:
    """t: the quality, -1 at the lowest, 1 at the highest.

    One number, or what broadcasts to [B, H/16, W/16].
    """
    t = at_positions(t, y, 16)
    for stage in (3, 2, 1):
      kernel_init = _synthesis_kernel(self.start, self.N, self.M, stage)
      y = Conv(self.N, 5, "up", kernel_init, name=f"conv_{stage}")(y)
      gamma = _gamma(self.start, stage - 1)
      y = GDN(True, gamma, name=f"igdn_{stage - 1}")(y)
    kernel_init = _synthesis_kernel(self.start, self.N, self.M, 0)
    if not self.conditional:
      return Conv(3, 5, "up", kernel_init, name="conv_0")(y)
    return ConditionalConv(3, kernel_init=kernel_init, name="conv_0")(y, t)


def _magnitudes_only(rng, shape) -> np.ndarray:
  """Kernel on (|y|, y): Xavier's for |y|, zero for y."""
  half = (*shape[:2], shape[2] // 2, shape[3])
  return np.concatenate([xavier(rng, half), np.zeros(half)], 2)


class HyperAnalysis(nn.Module):
  """y [B, h, w, M] to z [B, h/4, w/4, N].

  Attributes:
    N: width.
    reads: `magnitude`, |y| under ReLUs (arXiv 1802.01436); `signed`, y under
      leaky ReLUs (1809.02736); or `both`, |y| and y under leaky ReLUs.
  """

  N: int
  reads: str = "magnitude"

  @nn.compact
  def __call__(self, y: jax.Array) -> jax.Array:
    activate = nn.relu if self.reads == "magnitude" else leaky_relu
    kernel_init = xavier
    if self.reads == "magnitude":
      y = jnp.abs(y)
    elif self.reads == "both":
      y = jnp.concatenate([jnp.abs(y), y], -1)
      kernel_init = _magnitudes_only
    z = activate(Conv(self.N, 3, kernel_init=kernel_init, name="conv_0")(y))
    z = activate(Conv(self.N, 5, "down", name="conv_1")(z))
    return Conv(self.N, 5, "down", name="conv_2")(z)


class HyperSynthesis(nn.Module):
  """z_tilde [B, h/4, w/4, N] to (output [B, h, w, C], features [B, h, w, F]).

  `features` are the penultimate features that the importance map reads.

  Attributes:
    widths: of the three layers; the last two are F and C.
    signed: leaky ReLUs between the layers and none at the end (arXiv
      1809.02736), not ReLUs everywhere (1802.01436).
    kernel_init: of the last layer.
    bias_init: of the last layer.
  """

  widths: tuple[int, int, int]
  signed: bool = False
  kernel_init: Draw = xavier
  bias_init: Draw = zeros

  @nn.compact
  def __call__(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    activate = leaky_relu if self.signed else nn.relu
    z = activate(Conv(self.widths[0], 5, "up", name="conv_0")(z))
    features = activate(Conv(self.widths[1], 5, "up", name="conv_1")(z))
    out = Conv(
      self.widths[2],
      3,
      kernel_init=self.kernel_init,
      bias_init=self.bias_init,
      name="conv_2",
    )(features)
    return out if self.signed else nn.relu(out), features


def scale_bias(init: str, N: int, M: int) -> Draw:
  """Initial bias of a layer that gives scales [M]: what y is expected to be."""
  if init == "xavier":
    return zeros
  return lambda rng, shape: wavelet.cascade(N, M)[1]


def gaussian_inits(init: str, N: int, M: int) -> tuple[Draw, Draw]:
  """Kernel and bias initialisers of a layer that gives means, then scales.

  Under the wavelet start the means' kernel is zero, and the scales start as
  those of `scale_bias`.
  """

  def kernel(rng, shape):
    drawn = xavier(rng, shape)
    if init != "xavier":
      drawn[..., :M] = 0
    return drawn

  def bias(rng, shape):
    scales = scale_bias(init, N, M)(rng, (M,))
    return np.concatenate([np.zeros(M), scales])

  return kernel, bias
