"""The control path: z_hat to mask and table index, exact on every machine.

Encoder and decoder must agree bit for bit on which elements are written and
with which table. So this file computes with integers only: int64, or float64
that holds integers below 2**53, whose sums do not depend on their order. Export
quantises the weights once. It also stores thresholds and reciprocals for each
1/64 of a quality level, so that no power, logarithm or division is needed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from sclc_jax.codec import elementary
from sclc_jax.codec.entropy.tables import INDEX_BOUNDS
from sclc_jax.codec.tiles import at_q, bands, tiles
from sclc_jax.nn.transforms import LEAK_BITS, LEAK_FACTOR

STRIDE = 64  # of z, in pixels
Q_PER_LEVEL = 64
ACTIVATION_BITS = 12  # fractional bits of activations
ACTIVATION_MAX = 2**22 - 1  # activations are clipped here: 1024
Z_MAX = 2**10  # |z| is clipped here by the encoder
WEIGHT_BITS = 15  # bits of the largest weight of a channel, without sign
SCALE_BITS = 12  # fractional bits of scale, and of the mean
SCALE_MAX = 2**26 - 1
RECIPROCAL_BITS = 16
RECIPROCAL_MAX = 2**26 - 1
IMPORTANCE_BITS = 20
_EXACT = 2**53
_POSITIONS = 512  # in a band of a matrix product
_TILE = 48  # positions of z a side, for bounded memory
# A block of 4x4 scales reads z from two positions before to one after.
_MARGIN = (2, 1)


@dataclasses.dataclass(frozen=True)
class IntegerConv:
  """A convolution on integers, with power-of-two scales per channel.

  Attributes:
    weight: int16 [h, w, I, O].
    bias: int64 [O], at the accumulator's scale.
    shift: int32 [O], fractional bits of the weights.
  """

  weight: np.ndarray
  bias: np.ndarray
  shift: np.ndarray

  @functools.cached_property
  def taps(self) -> np.ndarray:
    """The weights as float64, which carries them."""
    return self.weight.astype(np.float64)

  @functools.cached_property
  def phases(self) -> list[list[np.ndarray]]:
    """Of a transposed 5x5 convolution the taps that give each output parity.

    As out[2i + t - 1] += k[t] x[i], an even row reads x[i - 1] and x[i] with
    taps 3 and 1; an odd one x[i - 1], x[i] and x[i + 1] with 4, 2 and 0.
    """
    odd, even = slice(None, None, -2), slice(3, None, -2)
    rows = [self.weight[part] for part in (even, odd)]
    return [
      [row[:, part].astype(np.float64, order="C") for part in (even, odd)]
      for row in rows
    ]


def quantise_conv(
  kernel: np.ndarray, bias: np.ndarray, input_bits: int, input_max: int
) -> IntegerConv:
  """Rounds a float convolution so that every partial sum is exact.

  Args:
    kernel: float [h, w, I, O].
    bias: float [O].
    input_bits: fractional bits of the integer input.
    input_max: bound on its magnitude.

  Returns:
    The integer convolution; |bias| + sum |w| * input_max < 2**53 in each
    channel (raises ValueError where no scale can give that).
  """
  kernel = np.asarray(kernel, np.float64)
  bias = np.asarray(bias, np.float64)
  if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
    raise ValueError(
      "a weight of the control path is not finite; export an earlier "
      "checkpoint of this run."
    )
  outputs = kernel.shape[-1]
  weight = np.zeros(kernel.shape, np.int16)
  integer_bias = np.zeros(outputs, np.int64)
  shift = np.zeros(outputs, np.int32)
  for o in range(outputs):
    largest = np.abs(kernel[..., o]).max()
    bits = 24
    if largest > 0:
      bits = min(24, int(WEIGHT_BITS - 1 - elementary.floor_log2(largest)))
    while True:
      w = np.round(np.ldexp(kernel[..., o], bits))
      b = np.round(np.ldexp(bias[o], bits + input_bits))
      bound = np.abs(w).sum() * input_max + abs(b)
      if bound < _EXACT / 2 and np.abs(w).max() <= 2**15 - 1:
        break
      bits -= 1
      if bits < -input_bits:
        raise ValueError(
          f"output channel {o} of the control path has weights too large to "
          "be exact; lower the learning rate or export an earlier step."
        )
    weight[..., o], integer_bias[o], shift[o] = w, b, bits
  return IntegerConv(weight, integer_bias, shift)


def _rescaled(
  acc: np.ndarray, shift: np.ndarray, least: int, most: int
) -> np.ndarray:
  """floor(acc * 2**-shift), clipped; in place, and exact: a power of two."""
  acc *= np.ldexp(1.0, -shift)
  return np.clip(np.floor(acc, out=acc), least, most, out=acc)


def _leak(x: np.ndarray) -> np.ndarray:
  """The leaky ReLU on integers that are clipped already."""
  return np.maximum(x, np.floor(np.ldexp(x * LEAK_FACTOR, -LEAK_BITS)))


# Takes sums [n, O], which it may overwrite, and the shift of their convolution.
_Finish = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _sums(
  x: np.ndarray,
  taps: np.ndarray,
  conv: IntegerConv,
  finish: _Finish,
  out: np.ndarray,
) -> None:
  """Writes what `finish` makes of the sums over each window of x.

  A band of rows at a time, so that a matrix product and all that follows it
  find their numbers in the cache.

  Args:
    x: [h + a - 1, w + b - 1, I].
    taps: [a, b, I, O], of the convolution.
    conv: whose bias is added.
    finish: gives what `out` holds.
    out: [h, w, O].
  """
  height, width, inputs, outputs = taps.shape
  rows, columns = out.shape[:2]
  windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), (0, 1))
  windows = windows.transpose(0, 1, 3, 4, 2)  # [h, w, a, b, I]
  matrix = taps.reshape(-1, outputs)
  band = max(1, _POSITIONS // columns)
  for start in range(0, rows, band):
    part = windows[start : start + band]
    sums = part.reshape(-1, len(matrix)) @ matrix
    sums += conv.bias
    finished = finish(sums, conv.shift)
    out[start : start + band] = finished.reshape(*part.shape[:2], outputs)


def _same(x: np.ndarray, conv: IntegerConv, finish: _Finish) -> np.ndarray:
  """Stride-1 SAME convolution of [h, w, I], int32."""
  out = np.empty((*x.shape[:2], conv.bias.size), np.int32)
  edge = conv.weight.shape[0] // 2
  if edge:
    x = np.pad(x, ((edge, edge), (edge, edge), (0, 0)))
  _sums(x, conv.taps, conv, finish, out)
  return out


def _up(x: np.ndarray, conv: IntegerConv, finish: _Finish) -> np.ndarray:
  """Transposed 5x5 stride-2 convolution: out[2i + t - 1] += k[t] x[i]."""
  h, w, _ = x.shape
  out = np.empty((2 * h, 2 * w, conv.bias.size))
  x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
  for p, row in enumerate(conv.phases):
    for q, taps in enumerate(row):
      read = x[: h + 1 + p, : w + 1 + q]
      _sums(read, taps, conv, finish, out[p::2, q::2])
  return out


@dataclasses.dataclass(frozen=True)
class ControlPath:
  """The integer twin of hyper-synthesis, selection and index.

  Attributes:
    convs: hyper-synthesis: two transposed convolutions and one of 3x3; where
      there is a context model, also the 1x1 convolution that takes the output
      into its first layer.
    head: the 1x1 importance convolution, None without selection.
    thresholds: int32 [Q, M]; an element is selected where its importance is
      above; -1 selects all.
    reciprocals: int32 [Q, M]; 1 / QV with RECIPROCAL_BITS.
    signed: hyper-synthesis has leaky ReLUs and a signed output.

  A quality step `q` is an integer, or an integer array [h, w].
  """

  convs: tuple[IntegerConv, ...]
  head: IntegerConv | None
  thresholds: np.ndarray
  reciprocals: np.ndarray
  signed: bool = False

  def prior(self, z_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """z_hat to integer side information and importance of all qualities.

    Args:
      z_hat: integers [h, w, N], |z| <= Z_MAX.

    Returns:
      side int32 with SCALE_BITS: the scale [4h, 4w, M] in [0, SCALE_MAX]; or
      means, then scales [4h, 4w, 2M] in +-SCALE_MAX; or what z adds to the
      first layer of the context model, [4h, 4w, 10M/3]. Importance int32
      [4h, 4w, M] in [0, 2**IMPORTANCE_BITS], or None.
    """
    rows, columns = z_hat.shape[:2]
    side = importance = None
    for tile in tiles(rows, columns, _TILE, _MARGIN):
      parts = self._prior(z_hat[tile.source])
      if side is None:
        side, importance = (
          None
          if part is None
          else np.empty((4 * rows, 4 * columns, part.shape[-1]), np.int32)
          for part in parts
        )
      inner, target = (
        tuple(slice(4 * s.start, 4 * s.stop) for s in sides)
        for sides in (tile.inner, tile.target)
      )  # of y, 4 positions each
      side[target] = parts[0][inner]
      if importance is not None:
        importance[target] = parts[1][inner]
    return side, importance

  def features(self, z_hat: np.ndarray) -> np.ndarray:
    """What the head reads: integers [4h, 4w, F] with ACTIVATION_BITS.

    Takes z_hat as `prior` does, but all at once: memory grows with it.
    """
    x = np.clip(z_hat, -Z_MAX, Z_MAX).astype(np.float64)
    x = _up(x, self.convs[0], self._activation(-ACTIVATION_BITS))
    return _up(x, self.convs[1], self._activation(0))

  def _prior(self, z_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    features = self.features(z_hat)
    least = -SCALE_MAX if self.signed else 0

    def to_side(acc: np.ndarray, shift: np.ndarray) -> np.ndarray:
      drop = shift + ACTIVATION_BITS - SCALE_BITS
      return _rescaled(acc, drop, least, SCALE_MAX)

    def to_context(acc: np.ndarray, shift: np.ndarray) -> np.ndarray:
      return _rescaled(acc, shift, -SCALE_MAX, SCALE_MAX)

    def to_importance(acc: np.ndarray, shift: np.ndarray) -> np.ndarray:
      drop = shift + ACTIVATION_BITS - IMPORTANCE_BITS
      half = 2 ** (IMPORTANCE_BITS - 1)
      return _rescaled(acc, drop, -half, half) + half

    side = _same(features, self.convs[2], to_side)
    for conv in self.convs[3:]:
      side = _same(side, conv, to_context)
    if self.head is None:
      return side, None
    return side, _same(features, self.head, to_importance)

  def _activation(self, dropped: int) -> _Finish:
    def activate(acc: np.ndarray, shift: np.ndarray) -> np.ndarray:
      least = -ACTIVATION_MAX if self.signed else 0
      x = _rescaled(acc, shift + dropped, least, ACTIVATION_MAX)
      return _leak(x) if self.signed else x

    return activate

  def mask(
    self, importance: np.ndarray | None, q: int | np.ndarray, shape
  ) -> np.ndarray:
    """Selected elements, bool [h, w, M], at a quality step or steps [h, w]."""
    mask = np.ones(shape, bool)
    if importance is not None:
      for rows in bands(shape):
        threshold = at_q(self.thresholds, q, rows)
        np.greater(importance[rows], threshold, out=mask[rows])
    return mask

  def index(
    self, scale: np.ndarray, mask: np.ndarray, q: int | np.ndarray
  ) -> np.ndarray:
    """Table index, int32 [n], of the selected elements in raster order.

    Args:
      scale: integers [..., M] in [0, SCALE_MAX].
      mask: bool, of its shape.
      q: a quality step, or one a position [...].
    """
    index = np.empty(np.count_nonzero(mask), np.int32)
    start = 0
    for rows in bands(scale.shape):
      reciprocal = at_q(self.reciprocals, q, rows).astype(np.int64)
      product = (scale[rows] * reciprocal)[mask[rows]]
      stop = start + product.size
      index[start:stop] = np.searchsorted(_BOUNDS, product, side="left")
      start = stop
    return index

  def normal_mean(self, mean: np.ndarray, q: int | np.ndarray) -> np.ndarray:
    """floor(mean / QV) with SCALE_BITS, int64; arguments as `index`."""
    return (mean * self.reciprocals[q].astype(np.int64)) >> RECIPROCAL_BITS


# Bounds between tables at the scale of scale * reciprocal. The first table
# also serves every scale below 0.11.
_BOUNDS = np.floor(
  np.ldexp(np.asarray(INDEX_BOUNDS), SCALE_BITS + RECIPROCAL_BITS)
).astype(np.int64)


def interpolate(table: np.ndarray) -> np.ndarray:
  """[L, M] positive to [64 (L - 1) + 1, M], geometric between levels."""
  logs = elementary.log(np.maximum(np.asarray(table, np.float64), 1e-12))
  levels = logs.shape[0]
  q = np.arange(Q_PER_LEVEL * (levels - 1) + 1) / Q_PER_LEVEL
  low = np.minimum(q.astype(int), levels - 2)
  d = (q - low)[:, None]
  return elementary.exp(logs[low] * (1 - d) + logs[low + 1] * d)


def build_control_path(
  hyper_synthesis: dict,
  qv: np.ndarray,
  head: dict | None,
  gamma: np.ndarray | None,
  signed: bool = False,
  context: dict | None = None,
) -> ControlPath:
  """Quantises the control path; see `quantise_conv` for what is guaranteed.

  Args:
    hyper_synthesis: parameters `conv_0`, `conv_1`, `conv_2`.
    qv: [L, M] > 0.
    head: parameters of the importance convolution, or None.
    gamma: [L, M] >= 0, or None; clamped to at least 1e-3, since a zero at one
      level would keep everything in the whole interval beside it.
    signed: see `ControlPath`.
    context: parameters of the context model, or None.
  """
  inputs = ((0, Z_MAX), *((ACTIVATION_BITS, ACTIVATION_MAX),) * 2)
  convs = tuple(
    quantise_conv(
      hyper_synthesis[f"conv_{i}"]["kernel"],
      hyper_synthesis[f"conv_{i}"]["bias"],
      *inputs[i],
    )
    for i in range(3)
  )
  if context is not None:
    outputs = hyper_synthesis["conv_2"]["bias"].size
    kernel = context["conv_0"]["kernel"][:, :, :outputs]
    bias = context["conv_0"]["bias"]
    convs += (quantise_conv(kernel, bias, SCALE_BITS, SCALE_MAX),)
  scale = np.round(np.ldexp(1.0 / interpolate(qv), RECIPROCAL_BITS))
  reciprocals = np.clip(scale, 1, RECIPROCAL_MAX).astype(np.int32)
  if head is None:
    thresholds = np.full(reciprocals.shape, -1, np.int32)
    return ControlPath(convs, None, thresholds, reciprocals, signed)
  integer_head = quantise_conv(
    head["kernel"], head["bias"], ACTIVATION_BITS, ACTIVATION_MAX
  )
  exponent = 1.0 / interpolate(np.maximum(gamma, 1e-3))
  power = elementary.exp(elementary.log(0.5) * exponent)
  thresholds = np.floor(np.ldexp(power, IMPORTANCE_BITS)).astype(np.int32)
  return ControlPath(convs, integer_head, thresholds, reciprocals, signed)
