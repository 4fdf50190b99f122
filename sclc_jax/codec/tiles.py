"""Overlapping tiles and bands of rows: bounded memory at any image size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

_BAND = 2**22  # elements a band


@dataclasses.dataclass(frozen=True)
class Tile:
  """A part of a grid: what is read, and what of it is kept.

  Attributes:
    source: rows and columns to read.
    inner: rows and columns to keep, counted inside the tile.
    target: the same, counted in the whole.
  """

  source: tuple[slice, slice]
  inner: tuple[slice, slice]
  target: tuple[slice, slice]


def _spans(
  length: int, size: int, margin: tuple[int, int]
) -> Iterator[tuple[slice, slice, slice]]:
  """(read, kept of it, kept of the whole) of each part of a side.

  As many parts as bring their length nearest to `size`: a last one that mostly
  repeats its neighbour would cost as much as any.
  """
  before, after = margin
  shared = before + after
  count = max(1, round((length - shared) / max(1, size - shared)))
  size = -(-(length + (count - 1) * shared) // count)
  keep = 0
  while keep < length:
    start = max(0, min(keep - before, length - size))
    stop = start + size
    end = length if stop == length else stop - after
    yield (
      slice(start, stop),
      slice(keep - start, end - start),
      slice(keep, end),
    )
    keep = end


def tiles(
  rows: int, columns: int, size: int, margin: tuple[int, int]
) -> list[Tile]:
  """Covers a grid with tiles of one shape, so that one compilation serves.

  Args:
    rows: of the grid.
    columns: of the grid.
    size: about the side of a tile, which comes as near to it as whole numbers
      of tiles allow. A side grows where the other is bounded by a narrow grid,
      and a grid of up to two tiles' area is one tile.
    margin: how many positions at the start and at the end of a tile depend on
      what lies beyond its edge.
  """
  if rows * columns <= 2 * size * size:
    height, width = rows, columns
  else:
    height = max(size, size * size // columns)
    width = max(size, size * size // rows)
  return [
    Tile((row[0], column[0]), (row[1], column[1]), (row[2], column[2]))
    for row in _spans(rows, height, margin)
    for column in _spans(columns, width, margin)
  ]


def scaled(part: slice, factor: int) -> slice:
  """A range of a grid, in one that is finer by a factor."""
  return slice(part.start * factor, part.stop * factor)


def overlap(part: slice, other: slice) -> slice:
  """What two ranges share; empty where they do not meet."""
  start = max(part.start, other.start)
  return slice(start, max(start, min(part.stop, other.stop)))


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
  """Rows of an array, a few million elements at a time."""
  rows = max(1, _BAND // max(1, int(np.prod(shape[1:]))))
  for start in range(0, shape[0], rows):
    yield slice(start, min(start + rows, shape[0]))


def at_q(
  table: np.ndarray, q: int | np.ndarray, rows: slice
) -> np.ndarray:
  """Row(s) of a table [Q, M] at a quality step.

  Args:
    table: [Q, M].
    q: quality step, one for all positions, or an array [h, w].
    rows: which of the h.

  Returns:
    [M], or [rows, w, M].
  """
  return table[q] if np.ndim(q) == 0 else table[q[rows]]
