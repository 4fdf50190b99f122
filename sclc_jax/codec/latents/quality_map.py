"""Quality maps: a coarse grid of qualities, and its few bytes.

The grid is that of z: one value for each 64x64 pixels, in 16 steps from the
lowest to the highest quality. A value is coded as its difference from the
median edge predictor (MED, Weinberger et al. 2000, LOCO-I), with the Gaussian
table that gives the fewest bytes.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from sclc_jax.codec.entropy.tables import SCALES, gaussian_tables
from sclc_jax.codec.exact.control import STRIDE
from sclc_jax.codec.stream.bitstream import DamagedFileError

TOP = 15  # grid values lie in [0, TOP]


@dataclasses.dataclass(frozen=True)
class QualityMap:
  """Quality steps in space.

  Attributes:
    grid: int32 [ceil(H/64), ceil(W/64)] in [0, TOP].
    low: quality step of grid value 0.
    high: quality step of grid value TOP, above `low`.
  """

  grid: np.ndarray
  low: int
  high: int

  def q(self) -> np.ndarray:
    """Quality step of each position of y, int32 [h, w]."""
    rise = (2 * self.grid * (self.high - self.low) + TOP) // (2 * TOP)
    squares = (self.low + rise).astype(np.int32)
    return np.repeat(np.repeat(squares, 4, 0), 4, 1)


def resample(quality: np.ndarray, height: int, width: int) -> np.ndarray:
  """Means over the squares of 64x64 pixels, exact by area.

  Args:
    quality: [h, w] of any size, stretched over the image.
    height: of the image, pixels.
    width: of the image, pixels.

  Returns:
    float64 [ceil(H/64), ceil(W/64)].
  """
  rows = _overlaps(quality.shape[0], height)
  columns = _overlaps(quality.shape[1], width)
  return rows @ (quality.astype(np.float32) @ columns.T)


def _overlaps(count: int, length: int) -> np.ndarray:
  """[cells, count]: which share of a cell lies in each of `count` parts."""
  edges = np.arange(-(-length // STRIDE) + 1) * STRIDE
  edges = np.minimum(edges, length) * count / length
  parts = np.arange(count)
  low = np.maximum(edges[:-1, None], parts)
  high = np.minimum(edges[1:, None], parts + 1)
  share = np.maximum(high - low, 0)
  return share / share.sum(1, keepdims=True)


def _predict(grid: np.ndarray, i: int, j: int) -> int:
  """Median of left, above, and left + above - above left."""
  if i == 0:
    return int(grid[0, j - 1]) if j else TOP
  if j == 0:
    return int(grid[i - 1, 0])
  left, above = int(grid[i, j - 1]), int(grid[i - 1, j])
  corner = left + above - int(grid[i - 1, j - 1])
  return max(min(left, above), min(max(left, above), corner))


def encode(qualities: QualityMap, engine) -> bytes:
  """Lowest step (2 bytes), table (1 byte), coded grid; not the highest step.

  Args:
    qualities: the map.
    engine: range coder.
  """
  height, width = qualities.grid.shape
  residual = np.array(
    [
      qualities.grid[i, j] - _predict(qualities.grid, i, j)
      for i in range(height)
      for j in range(width)
    ]
  )
  residual = (residual + TOP // 2) % (TOP + 1) - TOP // 2
  # A flat or two-valued map needs narrow tables, a gradient wider ones.
  tables = range(0, int(np.searchsorted(SCALES, 8.0)), 3)
  codes = {
    table: engine.encode(
      gaussian_tables(), residual, np.full(residual.size, table)
    )
    for table in tables
  }
  best = min(codes, key=lambda table: len(codes[table]))
  return qualities.low.to_bytes(2, "little") + bytes([best]) + codes[best]


def decode(
  data: bytes, height: int, width: int, high: int, engine
) -> QualityMap:
  """The map of a file.

  Args:
    data: what `encode` gave.
    height: of the image, pixels.
    width: of the image, pixels.
    high: the highest step, from the header.
    engine: range coder.

  Raises:
    DamagedFileError: it cannot have been written.
  """
  if len(data) < 3:
    raise DamagedFileError("the file's quality map is cut; it is damaged.")
  low, table = int.from_bytes(data[:2], "little"), data[2]
  if low >= high or table >= SCALES.size:
    raise DamagedFileError(
      f"the file's quality map declares steps {low} to {high} and table "
      f"{table}; it is damaged."
    )
  shape = (-(-height // STRIDE), -(-width // STRIDE))
  residual = engine.decode(
    gaussian_tables(), data[3:], np.full(shape[0] * shape[1], table)
  ).reshape(shape)
  grid = np.zeros(shape, np.int32)
  for i in range(shape[0]):
    for j in range(shape[1]):
      value = int(residual[i, j]) + _predict(grid, i, j)
      grid[i, j] = value % (TOP + 1)
  return QualityMap(grid, low, high)
