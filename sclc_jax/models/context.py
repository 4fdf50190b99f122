"""The context model: mean and scale from z and from decoded neighbours.

One module serves every coding order. An order says which positions are decoded
first, and which of the 5x5 neighbours are read.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.nn.conv import conv
from sclc_jax.nn.initial import start, xavier, zeros
from sclc_jax.nn.transforms import Conv, gaussian_inits, leaky_relu

_WINDOW = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
# (row, column) offsets of the taps, in the order of the stored weights.
TAPS = {
  # Before the position in raster order (Minnen et al. 2018).
  "context": [tap for tap in _WINDOW if tap < (0, 0)],
  # Positions of the other colour (He et al. 2021, arXiv 2103.15306).
  "checkerboard": [tap for tap in _WINDOW if sum(tap) % 2],
}


def anchors(h: int, w: int) -> np.ndarray:
  """Checkerboard positions of the first pass, which see nothing: bool."""
  return (np.arange(h)[:, None] + np.arange(w)) % 2 == 0


def widths(M: int) -> tuple[int, int, int]:
  """Of the three 1x1 convolutions: 10M/3, 8M/3, 2M."""
  return 10 * M // 3, 8 * M // 3, 2 * M


class ContextModel(nn.Module):
  """Masked 5x5 convolution and three 1x1 convolutions (1809.02736, fig. 1).

  Attributes:
    N: width of the transforms, which the wavelet start needs.
    M: width of y.
    start: see `config.ModelConfig.init`.
    order: key of TAPS.
  """

  N: int
  M: int
  start: str
  order: str

  @nn.compact
  def __call__(self, side: jax.Array, y_hat: jax.Array) -> jax.Array:
    """Side information and y_hat to means and scales.

    Args:
      side: [B, h, w, 2M], the output of hyper_synthesis.
      y_hat: [B, h, w, M]; a position is read only where the order has it
        decoded before.

    Returns:
      [B, h, w, 2M]: means, then scales.
    """
    taps = TAPS[self.order]
    shape = (len(taps), self.M, 2 * self.M)
    masked = self.param("masked", start(xavier), shape).astype(y_hat.dtype)
    bias = self.param("bias", start(zeros), (2 * self.M,))
    at = np.array(taps) + 2
    kernel = jnp.zeros((5, 5, *shape[1:]), y_hat.dtype)
    kernel = kernel.at[at[:, 0], at[:, 1]].set(masked)
    if self.order == "checkerboard":
      y_hat = y_hat * anchors(*y_hat.shape[1:3])[..., None]
    context = conv(y_hat, kernel) + bias.astype(y_hat.dtype)
    x = jnp.concatenate([side, context], -1)
    first, second, last = widths(self.M)
    x = leaky_relu(Conv(first, 1, name="conv_0")(x))
    x = leaky_relu(Conv(second, 1, name="conv_1")(x))
    kernel_init, bias_init = gaussian_inits(self.start, self.N, self.M)
    return Conv(
      last, 1, kernel_init=kernel_init, bias_init=bias_init, name="conv_2"
    )(x)
