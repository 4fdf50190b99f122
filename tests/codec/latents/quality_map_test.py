import dataclasses

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.latents import quality_map
from sclc_jax.codec.latents.quality_map import TOP, QualityMap
from sclc_jax.codec.stream import bitstream

ENGINE = get_engine("portable")
GRIDS = hnp.arrays(
  np.int32,
  hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
  elements=st.integers(0, TOP),
)


@hypothesis.given(GRIDS, st.integers(0, 447), st.integers(1, 64))
@hypothesis.settings(deadline=None)
def test_map_comes_back(grid, low, rise):
  actual = QualityMap(grid, low, low + rise)
  data = quality_map.encode(actual, ENGINE)
  height, width = (64 * n - 3 for n in grid.shape)
  back = quality_map.decode(data, height, width, low + rise, ENGINE)
  assert (back.low, back.high) == (actual.low, actual.high)
  np.testing.assert_array_equal(back.grid, grid)
  q = back.q()
  assert q.shape == (4 * grid.shape[0], 4 * grid.shape[1])
  assert low <= q.min() and q.max() <= low + rise


@hypothesis.given(st.binary(max_size=40))
@hypothesis.settings(deadline=None)
def test_hostile_map_is_an_error_or_a_map(data):
  try:
    actual = quality_map.decode(data, 200, 300, 448, ENGINE)
  except ValueError:
    return
  assert actual.grid.shape == (4, 5)
  assert 0 <= actual.q().min() and actual.q().max() <= 448


def test_region_costs_few_bytes():
  grid = np.zeros((8, 12), np.int32)
  grid[2:5, 3:9] = TOP
  assert len(quality_map.encode(QualityMap(grid, 0, 448), ENGINE)) < 24


@hypothesis.given(
  st.integers(1, 300), st.integers(1, 300), st.integers(1, 40),
  st.integers(1, 40),
)  # fmt: skip
@hypothesis.settings(deadline=None, max_examples=50)
def test_resampling_is_the_mean_by_area(height, width, rows, columns):
  """Against the picture at full size, where the map divides it evenly."""
  rng = np.random.default_rng(height * width)
  small = rng.uniform(1, 8, (rows, columns))
  actual = quality_map.resample(small, height, width)
  assert actual.shape == (-(-height // 64), -(-width // 64))
  assert small.min() - 1e-5 <= actual.min()
  assert actual.max() <= small.max() + 1e-5
  large = np.repeat(np.repeat(small, 7, 0), 5, 1)
  whole = quality_map.resample(large, height, width)
  np.testing.assert_allclose(actual, whole, rtol=1e-5)
  exact = quality_map.resample(small, 64 * rows, 64 * columns)
  np.testing.assert_allclose(exact, small, rtol=1e-5)


def test_file_with_a_map_decodes_to_what_was_written(codec, photo):
  rng = np.random.default_rng(0)
  quality = rng.uniform(1, 8, (5, 7))
  analysis = codec.analyse(photo)
  data = codec.encode(analysis, quality)
  actual = codec.symbols(data)
  np.testing.assert_array_equal(actual.mask, codec.mask(analysis, quality))
  assert actual.q.shape == actual.mask.shape[:2]
  for i in range(0, actual.q.shape[0], 4):
    for j in range(0, actual.q.shape[1], 4):
      uniform = codec.mask(analysis, 1 + actual.q[i, j] / 64)
      block = slice(i, i + 4), slice(j, j + 4)
      np.testing.assert_array_equal(actual.mask[block], uniform[block])
  assert codec.decompress(data).shape == photo.shape


def test_array_of_one_quality_is_that_quality(codec, photo):
  flat = codec.compress(photo, 3.5)
  assert codec.compress(photo, np.full((3, 2), 3.5)) == flat
  assert codec.compress(photo, np.array([[3.5]])) == flat


def test_region_gets_the_quality_that_the_map_gives_it(photo):
  from sclc_jax.codec.codec import load_codec
  from sclc_jax.metrics import psnr_db

  codec = load_codec()
  image = np.tile(photo, (1, 2, 1))
  quality = np.array([[7.0, 2.0]])
  pictures = {
    name: codec.decompress(codec.compress(image, q))
    for name, q in (("map", quality), ("high", 7), ("low", 2))
  }
  sizes = [len(codec.compress(image, q)) for q in (2, quality, 7)]
  assert sizes == sorted(sizes)
  left, right = np.s_[:, :128], np.s_[:, 192:]
  for part, name in ((left, "high"), (right, "low")):
    wanted = psnr_db(image[part], pictures[name][part])
    assert abs(psnr_db(image[part], pictures["map"][part]) - wanted) < 0.5


@pytest.mark.parametrize(
  "quality", [np.array([[1, 9]]), np.ones(3), np.zeros((0, 2)),
              np.array([[np.nan, 2]])],
)  # fmt: skip
def test_bad_maps_are_named(codec, photo, quality):
  with pytest.raises(ValueError, match="quality"):
    codec.compress(photo, quality)


def test_map_above_its_highest_step_is_damage(codec, photo):
  data = codec.compress(photo, np.array([[2.0, 5.0]]))
  file = bitstream.unpack(data)
  hostile = b"\xff\xff" + file.sections[bitstream.QUALITY_MAP][2:]
  changed = {bitstream.QUALITY_MAP: hostile}
  with pytest.raises(bitstream.DamagedFileError, match="map"):
    codec.decompress(
      bitstream.pack(dataclasses.replace(file, sections=changed))
    )
