"""5x5 stride-2 convolutions in the forms that a backend runs fast.

The convolution down and the one up are each other's transposes, so each is the
gradient of the other. On XLA:CPU the strided convolution is fast, but the
transposed one and the gradients by autodiff are 4 to 20 times slower. So the
gradients are written by hand.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from sclc_jax.nn.target import platform

_DIMS = ("NHWC", "HWIO", "NHWC")
# Taps of parity p start at 1 - p; the padding keeps the output size.
_UP_TAPS = (1, 0)
_UP_PAD = ((1, 0), (1, 1))
_NARROW = 8  # channels; below, a convolution wastes its vector lanes
# Channels up to which all parities in one convolution, of 36 taps in place of
# 25, are as fast as one by one, and are compiled in a third of the time.
_FEW = 16
_EXAMPLES = 8  # in a batch, below which the same holds of a kernel's gradient


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Stride-1 convolution, SAME padding; x [B, H, W, I], kernel [h, w, I, O]."""
  return lax.conv_general_dilated(
    x, kernel, (1, 1), "SAME", dimension_numbers=_DIMS
  )


def _down_direct(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return lax.conv_general_dilated(
    x, kernel, (2, 2), "SAME", dimension_numbers=_DIMS
  )


def _kernel_gradient(x, kernel, ct):
  """Gradient of a kernel that takes x down to where ct lives."""
  if platform() == "cpu" and kernel.shape[2] >= _NARROW:
    few = max(kernel.shape[2:]) <= _FEW
    form = _kernel_gradient_blocks if few else _kernel_gradient_phases
    return form(x, kernel, ct)
  transpose = jax.linear_transpose(lambda k: _down_direct(x, k), kernel)
  return transpose(ct)[0]


def _deal_rows(x: jax.Array, rows: int, halo: int) -> jax.Array:
  """Blocks of rows as further examples, until there are `_EXAMPLES`.

  Args:
    x: [B, H + halo, W, C], whose first H rows are dealt.
    rows: H.
    halo: rows that a block has beyond its share.

  Returns:
    [B * blocks, H / blocks + halo, W, C].
  """
  blocks = 1
  while x.shape[0] * blocks < _EXAMPLES and rows % (2 * blocks) == 0:
    blocks *= 2
  share = rows // blocks
  starts = range(0, rows, share)
  return jnp.concatenate([x[:, i : i + share + halo] for i in starts])


def _kernel_gradient_phases(x, kernel, ct):
  """The same, as stride-1 convolutions of x with ct, one an input parity.

  They slide ct over x and sum over the examples, which are innermost for
  XLA:CPU; with fewer than 8 of these it is up to a half slower. As the sum is
  over rows too, rows stand in.
  """
  rows = ct.shape[1]
  window = _deal_rows(ct, rows, 0)

  def taps(p, q):  # [1, 3, 3, I O], the last of a parity 0 being zero
    phase = jnp.pad(x[:, p::2, q::2], ((0, 0), (p, 1), (q, 1), (0, 0)))
    gradient = lax.conv_general_dilated(
      _deal_rows(phase, rows, 1 + p),
      window,
      (1, 1),
      "VALID",
      dimension_numbers=("CHWN", "IHWO", "HWNC"),
    )
    padding = ((0, 1 - p), (0, 1 - q), (0, 0), (0, 0))
    return jnp.pad(gradient, padding).reshape(1, 3, 3, -1)

  # Parity p's tap i is the kernel's 2i + 1 - p.
  phases = [[taps(p, q) for q in (1, 0)] for p in (1, 0)]
  return _interleave(phases)[0, :5, :5].reshape(kernel.shape)


def _kernel_gradient_blocks(x, kernel, ct):
  """The same, with the 2x2 positions of a block as channels."""
  rows = ct.shape[1]
  x = jnp.pad(x, ((0, 0), (1, 3), (1, 3), (0, 0)))
  b, h, w, inputs = x.shape
  blocks = x.reshape(b, h // 2, 2, w // 2, 2, inputs)
  blocks = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, -1)
  gradient = lax.conv_general_dilated(
    _deal_rows(blocks, rows, 2),
    _deal_rows(ct, rows, 0),
    (1, 1),
    "VALID",
    dimension_numbers=("CHWN", "IHWO", "HWNC"),
  )
  gradient = gradient.reshape(3, 3, 2, 2, inputs, -1)
  gradient = gradient.transpose(0, 2, 1, 3, 4, 5)
  return gradient.reshape(6, 6, inputs, -1)[:5, :5]


@jax.custom_vjp
def conv_down(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolves with stride 2: out[i] = sum_t kernel[t] x[2i + t - 1].

  Args:
    x: [B, H, W, I], H and W even.
    kernel: [5, 5, I, O].

  Returns:
    [B, H/2, W/2, O], aligned like TensorFlow's SAME.
  """
  return _down_direct(x, kernel)


def _down_backward(residuals, ct):
  x, kernel = residuals
  dx = conv_up(ct, kernel.swapaxes(2, 3))
  return dx, _kernel_gradient(x, kernel, ct)


conv_down.defvjp(lambda x, k: (_down_direct(x, k), (x, k)), _down_backward)


def _up_direct(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return lax.conv_general_dilated(
    x,
    kernel[::-1, ::-1],
    (1, 1),
    ((3, 2), (3, 2)),
    lhs_dilation=(2, 2),
    dimension_numbers=_DIMS,
  )


def _interleave(phases: list[list[jax.Array]]) -> jax.Array:
  """Output parities [2][2] of [B, H, W, O] to [B, 2H, 2W, O]."""
  out = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
  b, h, _, w, _, c = out.shape
  return out.reshape(b, 2 * h, 2 * w, c)


def _up_phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Four stride-1 convolutions, one an output parity: the same 25 taps."""
  flipped = kernel[::-1, ::-1]
  return _interleave(
    [
      [
        lax.conv_general_dilated(
          x,
          flipped[_UP_TAPS[p] :: 2, _UP_TAPS[q] :: 2],
          (1, 1),
          (_UP_PAD[p], _UP_PAD[q]),
          dimension_numbers=_DIMS,
        )
        for q in (0, 1)
      ]
      for p in (0, 1)
    ]
  )


def _tap_blocks(kernel: jax.Array) -> jax.Array:
  """[5, 5, I, O] to [3, 3, I, 2, 2, O].

  A zero tap in front makes three blocks of two: tap 2i + p - 1 feeds parity p
  of the output block that lies i - 1 further.
  """
  padded = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
  blocks = padded.reshape(3, 2, 3, 2, *kernel.shape[2:])
  return blocks.transpose(0, 2, 4, 1, 3, 5)


def _join_blocks(x: jax.Array, outputs: int) -> jax.Array:
  """Output blocks [B, H, W, 4 O] to [B, 2H, 2W, O]."""
  b, h, w, _ = x.shape
  x = x.reshape(b, h, w, 2, 2, outputs).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(b, 2 * h, 2 * w, outputs)


def _up_blocks(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """One stride-1 convolution that gives the parities as channels."""
  inputs, outputs = kernel.shape[2:]
  blocks = _tap_blocks(kernel)[::-1, ::-1].reshape(3, 3, inputs, 4 * outputs)
  return _join_blocks(conv(x, blocks), outputs)


def _up_products(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """One matrix product for all taps, then their shifted sum (col2im)."""
  b, h, w, inputs = x.shape
  matrix = _tap_blocks(kernel).transpose(2, 0, 1, 3, 4, 5).reshape(inputs, -1)
  taps = (x.reshape(-1, inputs) @ matrix).reshape(b, h, w, 3, 3, -1)
  edge = ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0), (0, 0))
  taps = jnp.pad(taps, edge)
  out = sum(
    taps[:, 2 - i : 2 - i + h, 2 - j : 2 - j + w, i, j]
    for i in range(3)
    for j in range(3)
  )
  return _join_blocks(out, kernel.shape[-1])


UP_FORMS = {
  "direct": _up_direct,
  "phases": _up_phases,
  "blocks": _up_blocks,
  "products": _up_products,
}


def _up(x, kernel):
  form = "direct"
  if platform() == "cpu":
    form = "products" if kernel.shape[-1] < _NARROW else "phases"
    if max(kernel.shape[2:]) <= _FEW:
      form = "blocks"
  return UP_FORMS[form](x, kernel)


@jax.custom_vjp
def conv_up(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """The transpose of `conv_down`: out[2i + t - 1] += kernel[t] x[i].

  Args:
    x: [B, H, W, I].
    kernel: [5, 5, I, O].

  Returns:
    [B, 2H, 2W, O].
  """
  return _up(x, kernel)


def _up_backward(residuals, ct):
  x, kernel = residuals
  swapped = kernel.swapaxes(2, 3)
  gradient = _kernel_gradient(ct, swapped, x)
  return conv_down(ct, swapped), gradient.swapaxes(2, 3)


conv_up.defvjp(lambda x, k: (_up(x, k), (x, k)), _up_backward)


@jax.custom_vjp
def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
  """x [..., C] + bias [C].

  Its gradient sums by a matrix product: XLA:CPU reduces over leading axes six
  times more slowly.
  """
  return x + bias


def _bias_backward(_, ct):
  rows = ct.reshape(-1, ct.shape[-1])
  return ct, jnp.ones(rows.shape[0], ct.dtype) @ rows


add_bias.defvjp(lambda x, bias: (x + bias, None), _bias_backward)
