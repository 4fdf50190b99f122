"""The context model in integers, and the order in which positions are coded.

Encoder and decoder go through the groups of an order. Inside a group no
position depends on another, so a group takes a few products of small matrices.
These multiply int16 and sum as int32 over blocks, which export checks to fit,
then as int64. So the result is exact, on every machine and in every order of
sums.

    order         groups of positions, each in raster order
    context       along wavefronts: column + 3 * row = 0, 1, 2, ...
    checkerboard  even row + column, then odd

The groups are part of the file format.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os

import numpy as np

from sclc_jax.codec import elementary
from sclc_jax.codec.exact.control import (
  SCALE_BITS,
  SCALE_MAX,
)
from sclc_jax.cpus import cpu_count
from sclc_jax.models.context import TAPS, anchors, widths
from sclc_jax.nn.transforms import LEAK_BITS, LEAK_FACTOR

INPUT_BITS = 6  # of y_hat and of activations, which are int16
INPUT_MAX = 2**15 - 1  # they are clipped here: 512
WEIGHT_MAX = 2**15 - 1
_EDGE = 2  # of the 5x5 window
_BLOCK = 320  # inputs that are summed as int32, at most, unless M is larger
_LANES = 32  # blocks are padded to a multiple of this many int16
_CHUNK = 16  # positions whose sums are kept at a time
_HALF = 1 << (SCALE_BITS - INPUT_BITS - 1)
IQV_BITS = 16  # fractional bits of IQV
IQV_MAX = 2**26 - 1
_PARALLEL = 2**20  # products below which threads cost more than they save


def coding_groups(order: str, h: int, w: int) -> list[np.ndarray]:
  """Positions of a latent [h, w] in coding order, as raster numbers.

  Args:
    order: key of `models.context.TAPS`.
    h: rows.
    w: columns.

  Returns:
    Groups, int64 [n] each; all that a position's context model reads lies in
    earlier groups.
  """
  if order == "checkerboard":
    first = anchors(h, w).ravel()
    groups = [np.flatnonzero(first), np.flatnonzero(~first)]
    return [group for group in groups if group.size]
  time = (np.arange(w) + 3 * np.arange(h)[:, None]).ravel()
  inside = np.argsort(time, kind="stable")
  return np.split(inside, np.flatnonzero(np.diff(time[inside])) + 1)


@dataclasses.dataclass(frozen=True)
class IntegerDense:
  """A 1x1 layer on int16, its inputs split into blocks.

  Attributes:
    weight: int16 [C, O, H]: C blocks of H inputs, zero where padded.
    bias: int64 [O], with SCALE_BITS.
    shift: int32 [O], fractional bits of the weights.
  """

  weight: np.ndarray
  bias: np.ndarray
  shift: np.ndarray

  @functools.cached_property
  def drop(self) -> np.ndarray:
    """int64 [O], bits to drop from a sum of products to get SCALE_BITS."""
    return self.shift.astype(np.int64) + INPUT_BITS - SCALE_BITS


def _padded(size: int) -> int:
  return -(-size // _LANES) * _LANES


def block_shape(inputs: int) -> tuple[int, int]:
  """(C, H) for a layer of so many inputs."""
  count = -(-inputs // _BLOCK)
  return count, _padded(-(-inputs // count))


def quantise_dense(blocks: np.ndarray, bias: np.ndarray) -> IntegerDense:
  """Rounds a layer so that no int32 sum over a block can overflow.

  Args:
    blocks: float [C, H, O].
    bias: float [O].

  Raises:
    ValueError: a weight is not finite, or too large.
  """
  blocks = np.asarray(blocks, np.float64).swapaxes(1, 2)
  bias = np.asarray(bias, np.float64)
  if not (np.isfinite(blocks).all() and np.isfinite(bias).all()):
    raise ValueError(
      "a weight of the context model is not finite; export an earlier "
      "checkpoint of this run."
    )
  sums = np.cumsum(np.abs(blocks), 2)[..., -1]  # in order, on any machine
  # Rounding adds at most 1/2 to each weight.
  room = (2**31 - 1) / INPUT_MAX - blocks.shape[2] / 2
  limits = np.stack(
    [
      room / np.maximum(sums.max(0), 1e-9),
      WEIGHT_MAX / np.maximum(np.abs(blocks).max((0, 2)), 1e-9),
    ]
  )
  shift = np.minimum(elementary.floor_log2(limits.min(0)), 24).astype(np.int32)
  if (shift < -INPUT_BITS).any() or (np.abs(bias) > 2.0**20).any():
    raise ValueError(
      "the context model has weights too large to be exact; lower the "
      "learning rate or export an earlier step."
    )
  weight = np.round(np.ldexp(blocks, shift[:, None])).astype(np.int16)
  largest = np.abs(weight.astype(np.int64)).sum(2) * INPUT_MAX
  assert largest.max(initial=0) < 2**31
  return IntegerDense(
    np.ascontiguousarray(weight),
    np.round(np.ldexp(bias, SCALE_BITS)).astype(np.int64),
    shift,
  )


@functools.cache
def _compiled_dense():
  """`_dense`, compiled; numba loads for models that have a context alone."""
  import numba

  return numba.njit(
    "void(int16[:,:,::1], int16[:,:,::1], int64[::1], int64[:,::1], boolean,"
    " int16[:,:,::1], int64[:,::1], int64, int64)",
    nogil=True,
    cache=True,
    error_model="numpy",
  )(_dense)


def _dense(x, weight, drop, added, leaky, out, sums, low, high):
  # x [C, n, H] times weight [C, O, H], channels low to high: SCALE_BITS plus
  # added [n or 1, O], then into `sums` [n, O], or activated and rounded into
  # `out` [C', n, H'] where `sums` is empty.
  blocks, n, inputs = x.shape
  room = out.shape[2]
  acc = np.empty((high - low, _CHUNK), np.int64)
  for start in range(0, n, _CHUNK):
    count = min(_CHUNK, n - start)
    acc[:] = 0
    for c in range(blocks):
      for o in range(high - low):
        w = weight[c, low + o]
        for p in range(count):
          u = x[c, start + p]
          dot = np.int32(0)
          for k in range(inputs):  # exactly this form becomes pmaddwd
            dot = np.int32(dot + np.int32(np.int32(u[k]) * np.int32(w[k])))
          acc[o, p] += dot
    for o in range(high - low):
      channel = low + o
      bits = drop[channel]
      block, slot = channel // room, channel % room
      for p in range(count):
        row = start + p
        value = acc[o, p] >> bits if bits >= 0 else acc[o, p] << -bits
        value += added[row if added.shape[0] > 1 else 0, channel]
        if sums.shape[0]:
          sums[row, channel] = min(max(value, -SCALE_MAX), SCALE_MAX)
          continue
        if leaky:
          value = max(value, (value * LEAK_FACTOR) >> LEAK_BITS)
        value = (value + _HALF) >> (SCALE_BITS - INPUT_BITS)
        out[block, row, slot] = min(max(value, -INPUT_MAX), INPUT_MAX)


@functools.lru_cache(maxsize=1)
def _threads(process: int) -> tuple[concurrent.futures.Executor, int]:
  """A pool, and the number of threads beside the caller's, of this process."""
  del process  # after a fork the pool has to be made again
  cores = cpu_count()
  return concurrent.futures.ThreadPoolExecutor(max(1, cores - 1)), cores - 1


def _run(
  layer: IntegerDense,
  x: np.ndarray,
  added: np.ndarray,
  *,
  leaky: bool = False,
  last: bool = False,
) -> np.ndarray:
  """Runs a layer on all cores; exact, so the split over them does not matter.

  Args:
    layer: weights.
    x: int16 [C, n, H].
    added: int64 [n or 1, O] with SCALE_BITS, for instance the bias.
    leaky: applies the leaky ReLU.
    last: gives the sums.

  Returns:
    int64 [n, O] with SCALE_BITS if `last`, else int16 [C', n, H'].
  """
  n, outputs = x.shape[1], layer.bias.size
  sums = np.empty((n if last else 0, outputs), np.int64)
  shape = (0, 0, 1) if last else block_shape(outputs)
  out = np.zeros((shape[0], 0 if last else n, shape[-1]), np.int16)
  dense = _compiled_dense()
  arguments = (x, layer.weight, layer.drop, added, leaky, out, sums)
  pool, others = _threads(os.getpid())
  if not others or layer.weight.size * n < _PARALLEL:
    dense(*arguments, 0, outputs)
    return sums if last else out
  bounds = [outputs * i // (others + 1) for i in range(others + 2)]
  waiting = [
    pool.submit(dense, *arguments, low, high)
    for low, high in zip(bounds[1:-1], bounds[2:])
  ]
  dense(*arguments, bounds[0], bounds[1])
  for future in waiting:
    future.result()
  return sums if last else out


@dataclasses.dataclass(frozen=True)
class ContextPath:
  """The integer twin of the context model.

  Attributes:
    order: key of `models.context.TAPS`.
    layers: the masked convolution, its half of the first 1x1 layer (z's half
      is the control path's), and the other two.
    iqv: int64 [Q, M]; IQV with IQV_BITS.
  """

  order: str
  layers: tuple[IntegerDense, ...]
  iqv: np.ndarray


def to_known(normal: np.ndarray, iqv: np.ndarray) -> np.ndarray:
  """y_hat as the elements after it see it: in +-INPUT_MAX, with INPUT_BITS.

  Args:
    normal: int64 [..., M], y_hat / IQV with SCALE_BITS.
    iqv: int64 [M] or [n, M], IQV with IQV_BITS.
  """
  bound = 2**36 - 1  # so that the product is below 2**62
  product = np.minimum(np.maximum(normal, -bound), bound) * iqv
  drop = SCALE_BITS + IQV_BITS - INPUT_BITS
  y_hat = (product + (1 << (drop - 1))) >> drop
  return np.minimum(np.maximum(y_hat, -INPUT_MAX), INPUT_MAX)


class ContextState:
  """Decodes one latent: what is known so far, and what follows from it.

  Args:
    path: of the model.
    h: rows.
    w: columns.
  """

  def __init__(self, path: ContextPath, h: int, w: int):
    self._path = path
    self._width = w
    channels = path.layers[0].weight.shape[2]
    shape = (h + 2 * _EDGE, w + 2 * _EDGE, channels)
    self._known = np.zeros(shape, np.int16)
    self._empty = True
    self._taps = np.array(TAPS[path.order]) + _EDGE

  def gaussian(self, side: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Means and scales of one group.

    Args:
      side: int32 [n, 10M/3], `ControlPath.prior`'s rows of the positions.
      positions: int [n], raster numbers.

    Returns:
      int64 [n, 2M] with SCALE_BITS, in +-SCALE_MAX.
    """
    masked, first, second, last = self._path.layers
    # Before anything is known all positions have the same context.
    at = positions[:1] if self._empty else positions
    rows, columns = np.divmod(at, self._width)
    x = self._known[
      rows + self._taps[:, :1], columns + self._taps[:, 1:]
    ]  # [taps, n, H]
    x = _run(masked, np.ascontiguousarray(x), masked.bias[None])
    if self._empty:
      x = np.repeat(x, positions.size, 1)
    x = _run(first, x, side.astype(np.int64), leaky=True)
    x = _run(second, x, second.bias[None], leaky=True)
    return _run(last, x, last.bias[None], last=True)

  def add(self, positions: np.ndarray, normal: np.ndarray, q) -> None:
    """Makes a group known.

    Args:
      positions: int [n], raster numbers.
      normal: int64 [n, M], y_hat / IQV with SCALE_BITS.
      q: quality step of the positions, an integer or int [n].
    """
    y_hat = to_known(normal, self._path.iqv[q])
    rows, columns = np.divmod(positions, self._width)
    self._known[rows + _EDGE, columns + _EDGE, : y_hat.shape[1]] = y_hat
    self._empty = False


def layer_shapes(order: str, M: int) -> list[tuple[int, int, int]]:
  """Shapes [C, O, H] of the weights of `ContextPath.layers`."""
  first, second, last = widths(M)
  shapes = [(len(TAPS[order]), 2 * M, _padded(M))]
  for inputs, outputs in ((2 * M, first), (first, second), (second, last)):
    count, size = block_shape(inputs)
    shapes.append((count, outputs, size))
  return shapes


def integer_iqv(iqv: np.ndarray) -> np.ndarray:
  """IQV [Q, M] float32 to the integers of `ContextPath.iqv`."""
  scaled = np.round(np.ldexp(iqv.astype(np.float64), IQV_BITS))
  return np.clip(scaled, 1, IQV_MAX).astype(np.int64)


def build_context_path(
  order: str, params: dict, iqv: np.ndarray
) -> ContextPath:
  """Quantises the context model.

  Args:
    order: key of `models.context.TAPS`.
    params: parameters of `models.context.ContextModel`.
    iqv: float32 [Q, M], of each quality step.
  """
  M = iqv.shape[-1]
  masked = np.asarray(params["masked"], np.float64)  # [taps, M, 2M]
  masked = np.pad(masked, ((0, 0), (0, _padded(M) - M), (0, 0)))
  kernels = [
    np.asarray(params[f"conv_{i}"]["kernel"], np.float64)[0, 0]
    for i in range(3)
  ]
  biases = [params[f"conv_{i}"]["bias"] for i in range(3)]
  kernels[0], biases[0] = kernels[0][2 * M :], np.zeros(widths(M)[0])
  dense = [quantise_dense(masked, params["bias"])]
  for kernel, bias in zip(kernels, biases):
    count, size = block_shape(kernel.shape[0])
    blocks = np.pad(kernel, ((0, count * size - kernel.shape[0]), (0, 0)))
    dense.append(quantise_dense(blocks.reshape(count, size, -1), bias))
  return ContextPath(order, tuple(dense), integer_iqv(iqv))
