"""5x5 stride-2 convolutions in the form that a backend runs fast.

On XLA:CPU a strided transposed convolution, and the gradient of either
strided one, falls off the fast path by a factor of 10 and more. Split by
parity they become four stride-1 convolutions over exactly the same 25 taps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

_DIMS = ("NHWC", "HWIO", "NHWC")
# Taps of parity p start at 1 - p; the padding keeps the output size.
_DOWN_TAPS = (1, 0)
_DOWN_PAD = ((0, 1), (1, 1))
_UP_PAD = ((1, 0), (1, 1))


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Stride-1 convolution, SAME padding; x [B, H, W, I], kernel [h, w, I, O]."""
  return lax.conv_general_dilated(
    x, kernel, (1, 1), "SAME", dimension_numbers=_DIMS
  )


def _form(form: str) -> str:
  if form != "auto":
    return form
  return "phase" if jax.default_backend() == "cpu" else "direct"


def conv_down(x: jax.Array, kernel: jax.Array, form: str = "auto") -> jax.Array:
  """Convolves with stride 2: out[i] = sum_t kernel[t] x[2i + t - 1].

  Args:
    x: [B, H, W, I], H and W even.
    kernel: [5, 5, I, O].
    form: `direct`, `phase`, or `auto`: phase on a CPU, else direct.

  Returns:
    [B, H/2, W/2, O], aligned like TensorFlow's SAME.
  """
  if _form(form) == "direct":
    return lax.conv_general_dilated(
      x, kernel, (2, 2), "SAME", dimension_numbers=_DIMS
    )
  return sum(
    lax.conv_general_dilated(
      x[:, p::2, q::2],
      kernel[_DOWN_TAPS[p] :: 2, _DOWN_TAPS[q] :: 2],
      (1, 1),
      (_DOWN_PAD[p], _DOWN_PAD[q]),
      dimension_numbers=_DIMS,
    )
    for p in (0, 1)
    for q in (0, 1)
  )


def conv_up(x: jax.Array, kernel: jax.Array, form: str = "auto") -> jax.Array:
  """The transpose of `conv_down`: out[2i + t - 1] += kernel[t] x[i].

  Args:
    x: [B, H, W, I].
    kernel: [5, 5, I, O].
    form: as in `conv_down`.

  Returns:
    [B, 2H, 2W, O].
  """
  flipped = kernel[::-1, ::-1]
  if _form(form) == "direct":
    return lax.conv_general_dilated(
      x,
      flipped,
      (1, 1),
      ((3, 2), (3, 2)),
      lhs_dilation=(2, 2),
      dimension_numbers=_DIMS,
    )
  rows = []
  for p in (0, 1):
    phases = [
      lax.conv_general_dilated(
        x,
        flipped[_DOWN_TAPS[p] :: 2, _DOWN_TAPS[q] :: 2],
        (1, 1),
        (_UP_PAD[p], _UP_PAD[q]),
        dimension_numbers=_DIMS,
      )
      for q in (0, 1)
    ]
    rows.append(jnp.stack(phases, axis=3))
  out = jnp.stack(rows, axis=2)  # [B, H, 2, W, 2, O]
  b, h, _, w, _, c = out.shape
  return out.reshape(b, 2 * h, 2 * w, c)
