"""Low-pass prediction in integers: a few channels of y from their neighbours.

Some channels of y hold the mean colour of their 16x16 pixels, so they resemble
their neighbours. They are coded first, along wavefronts: column + 2 * row = 0,
1, 2, ... An element's mean is a weighted sum of known elements of its channel;
its scale is one of how these differ, how far they lay from their own means, and
the hyperprior's scale. The wavefronts are part of the file format.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sclc_jax.codec.exact.context import (
  INPUT_BITS,
  integer_iqv,
  to_known,
)
from sclc_jax.codec.exact.control import (
  RECIPROCAL_BITS,
  SCALE_BITS,
  SCALE_MAX,
)

# Rows up and columns to the left of the neighbours: W, NW, N, NE, WW, NN.
TAPS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, 2), (2, 0))
_NEAR = 4  # of them are next to the element
MEAN_INPUTS = len(TAPS) + 1  # and a median of three
SCALE_INPUTS = 2 * _NEAR + 1
MEAN_BITS = 14  # fractional bits of the weights of means
WEIGHT_MAX = 2**20


@dataclasses.dataclass(frozen=True)
class LowPass:
  """Which channels are predicted, and how.

  Attributes:
    channels: int32 [K], rising.
    mean: int32 [K, 7] with MEAN_BITS, weights of `mean_inputs`.
    scale: int32 [K, 9] with SCALE_BITS, >= 0: weights of the hyperprior's scale
      and of `scale_inputs`, then a constant.
  """

  channels: np.ndarray
  mean: np.ndarray
  scale: np.ndarray

  def is_valid(self, M: int) -> bool:
    """Whether these fit together and a latent of M channels."""
    count = self.channels.size
    arrays = self.channels, self.mean, self.scale
    return (
      all(array.dtype == np.int32 for array in arrays)
      and self.channels.shape == (count,)
      and self.mean.shape == (count, MEAN_INPUTS)
      and self.scale.shape == (count, SCALE_INPUTS)
      and 0 < count < M
      and self.channels[0] >= 0
      and self.channels[-1] < M
      and (np.diff(self.channels) > 0).all()
      and np.abs(self.mean.astype(np.int64)).max() <= WEIGHT_MAX
      and 0 <= self.scale.min()
      and self.scale.max() <= WEIGHT_MAX
    )

  def others(self, M: int) -> np.ndarray:
    """The channels that are not predicted, rising."""
    return np.delete(np.arange(M), self.channels)


def wavefronts(h: int, w: int) -> list[np.ndarray]:
  """Positions of a latent [h, w] in coding order, as raster numbers.

  Returns:
    Groups, int64 [n] each, in raster order; all neighbours of a position lie in
    earlier groups.
  """
  time = (np.arange(w) + 2 * np.arange(h)[:, None]).ravel()
  inside = np.argsort(time, kind="stable")
  return np.split(inside, np.flatnonzero(np.diff(time[inside])) + 1)


def neighbours(h: int, w: int) -> np.ndarray:
  """Raster numbers of `TAPS` of every position, int64 [6, h w].

  Outside the picture N stands for a neighbour, in the first row W. The first
  position has none: it is given itself.
  """
  rows, columns = np.divmod(np.arange(h * w), w)
  up, left = np.array(TAPS).T[:, :, None]
  i, j = rows - up, columns - left
  instead = np.where(rows > 0, np.arange(h * w) - w, np.arange(h * w) - 1)
  inside = (i >= 0) & (j >= 0) & (j < w)
  return np.maximum(np.where(inside, i * w + j, instead), 0)


def mean_inputs(known: np.ndarray) -> np.ndarray:
  """Known neighbours [6, ...] and the median of W, N and W + N - NW: [7, ...].

  The median is that of LOCO-I, see `latents.quality_map`.
  """
  west, corner, north = known[:3]
  median = np.minimum(west + north - corner, np.maximum(west, north))
  median = np.maximum(median, np.minimum(west, north))
  return np.concatenate([known, median[None]])


def scale_inputs(known: np.ndarray, error: np.ndarray) -> np.ndarray:
  """What tells how uncertain a mean is, [7, ...].

  Args:
    known: the neighbours, [6, ...].
    error: how far they lay from their means, [6, ...], >= 0.

  Returns:
    The errors of W, NW, N and NE, and by how much each differs from the next.
  """
  differences = np.abs(np.diff(known[:_NEAR], axis=0))
  return np.concatenate([error[:_NEAR], differences])


class LowPassState:
  """Decodes the low-pass channels of one latent: what is known so far.

  Args:
    path: of the model.
    reciprocals: int32 [Q, K], of the control path.
    iqv: float32 [Q, K].
    h: rows.
    w: columns.
  """

  def __init__(
    self,
    path: LowPass,
    reciprocals: np.ndarray,
    iqv: np.ndarray,
    h: int,
    w: int,
  ):
    self._mean_weights = path.mean.T[:, None].astype(np.int64)
    self._scale_weights = path.scale.T[:, None].astype(np.int64)
    self._reciprocals = reciprocals
    self._iqv = integer_iqv(iqv)
    self._neighbours = neighbours(h, w)
    shape = (h * w, path.channels.size)
    self._mean = np.zeros(shape, np.int64)
    self._seen = np.zeros((2, *shape), np.int64)  # known; distance to the mean

  def gaussian(self, side: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Means and scales of one group.

    Args:
      side: int32 [n, K], `ControlPath.prior`'s scales there.
      positions: int [n], raster numbers.

    Returns:
      int64 [n, 2K] with SCALE_BITS, means in +-SCALE_MAX, scales up to it.
    """
    if positions[0] == 0:  # alone in its group
      return np.concatenate([np.zeros_like(side), side], -1)
    known, error = self._seen[:, self._neighbours[:, positions]]
    drop = MEAN_BITS + INPUT_BITS - SCALE_BITS
    mean = (mean_inputs(known) * self._mean_weights).sum(0) >> drop
    mean = np.minimum(np.maximum(mean, -SCALE_MAX), SCALE_MAX)
    weights = self._scale_weights
    activity = (scale_inputs(known, error) * weights[1:-1]).sum(0)
    scale = side * weights[0] + (activity << (SCALE_BITS - INPUT_BITS))
    scale = np.minimum((scale >> SCALE_BITS) + weights[-1], SCALE_MAX)
    self._mean[positions] = mean
    return np.concatenate([mean, scale], -1)

  def add(self, positions: np.ndarray, normal: np.ndarray, q) -> None:
    """Makes a group known.

    Args:
      positions: int [n], raster numbers.
      normal: int64 [n, K], y_hat / IQV with SCALE_BITS.
      q: quality step of the positions, an integer or int [n].
    """
    mean = self._mean[positions] * self._reciprocals[q] >> RECIPROCAL_BITS
    seen = np.stack([normal, np.abs(normal - mean)])
    self._seen[:, positions] = to_known(seen, self._iqv[q])
