"""Tiles cover a grid once, have one shape, and read as far as they must."""

import itertools

import pytest

from sclc_jax.codec.tiles import tiles

SIZE = 16


def _spans(length, margin):
  """Those of a side, in a grid several tiles wide."""
  parts = tiles(length, 4 * SIZE, SIZE, margin)
  first = parts[0].target[1]
  return [
    (tile.source[0], tile.inner[0], tile.target[0])
    for tile in parts
    if tile.target[1] == first
  ]


@pytest.mark.parametrize("margin", [(2, 1), (1, 2), (3, 3)])
def test_parts_of_a_side_follow_each_other(margin):
  for length in range(1, 300):
    kept = 0
    for source, inner, target in _spans(length, margin):
      assert target.start == kept
      assert source.start + inner.start == target.start
      assert source.start + inner.stop == target.stop
      assert source.start == 0 or inner.start >= margin[0]
      assert source.stop == length or source.stop - target.stop >= margin[1]
      kept = target.stop
    assert kept == length


def test_tiles_have_one_shape_near_the_one_asked_for():
  for rows, columns in itertools.product(range(3, 120, 7), repeat=2):
    parts = tiles(rows, columns, SIZE, (2, 1))
    shapes = {tuple(s.stop - s.start for s in tile.source) for tile in parts}
    (shape,) = shapes
    area = shape[0] * shape[1]
    assert area <= 2.4 * SIZE**2
    if len(parts) > 1:
      assert area >= 0.4 * SIZE**2


def test_tiles_repeat_little():
  for rows, columns in ((188, 252), (129, 129), (65, 400), (250, 250)):
    parts = tiles(rows, columns, 64, (2, 1))
    shape = [s.stop - s.start for s in parts[0].source]
    assert len(parts) * shape[0] * shape[1] <= 1.2 * rows * columns
