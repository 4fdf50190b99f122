"""A region is what the whole picture has there."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.pixels.transforms import MARGINS, Transforms
from sclc_jax.codec.tiles import tiles

SHAPES = ((330, 400, 3), (640, 64), (200, 333, 4), (300, 260, 2))
BORDERS = sorted(
  {
    16 * side.stop
    for tile in tiles(24, 28, 16, MARGINS["synthesis"])  # of the first shape
    for side in tile.target
  }
)


@pytest.fixture(scope="module")
def tiled(tiny_model) -> Codec:
  """Tiles of about 16x16 positions: 256x256 pixels."""
  codec = Codec(tiny_model)
  codec.transforms = Transforms(tiny_model.config, tiny_model.params, tile=16)
  return codec


@pytest.fixture(scope="module")
def files(tiled) -> dict[tuple[int, ...], tuple[bytes, np.ndarray]]:
  """File and picture of each shape."""
  rng = np.random.default_rng(0)
  pictures = {}
  for shape in SHAPES:
    image = rng.integers(0, 256, shape, np.uint8)
    data = tiled.compress(image, 8)
    pictures[shape] = data, tiled.decompress(data)
  return pictures


@st.composite
def regions(draw, shape):
  """Most of them end at borders of tiles or of the picture, or next to them."""
  spans = []
  for length in shape[:2]:
    edges = [at for b in (0, 16, *BORDERS, length) for at in (b - 1, b)]
    edge = st.sampled_from([e for e in edges if 0 <= e <= length])
    ends = st.one_of(edge, st.integers(0, length))
    pair = st.lists(ends, min_size=2, max_size=2, unique=True)
    low, high = sorted(draw(pair))
    spans.append((low, high - low))
  (y, h), (x, w) = spans
  return x, y, w, h


@pytest.mark.parametrize("shape", SHAPES)
@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(data=st.data())
def test_any_region_is_exactly_that_of_the_whole_picture(
  tiled, files, shape, data
):
  file, picture = files[shape]
  x, y, w, h = region = data.draw(regions(shape))
  part = tiled.decompress(file, region=region)
  np.testing.assert_array_equal(part, picture[y : y + h, x : x + w])


def test_tiles_that_a_region_does_not_need_are_not_run(
  tiled, files, monkeypatch
):
  calls = []
  run = tiled.transforms.run
  monkeypatch.setattr(
    tiled.transforms, "run", lambda *args: calls.append(1) or run(*args)
  )
  counts = []
  for region in (None, (0, 0, 100, 100), (399, 329, 1, 1)):
    calls.clear()
    tiled.decompress(files[SHAPES[0]][0], region=region)
    counts.append(len(calls))
  assert counts[0] > 2 and counts[1:] == [1, 1]


@pytest.mark.parametrize(
  "region",
  [(-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 401, 1), (400, 0, 1, 1), (0, 330, 1, 1),
   (0, 0, 5), (0.5, 0, 5, 5), "0,0,5,5"],
)  # fmt: skip
def test_what_is_no_region_of_the_picture_is_refused(tiled, files, region):
  with pytest.raises(ValueError, match=r"^a region is|400x330 pixels; X \+ W"):
    tiled.decompress(files[SHAPES[0]][0], region=region)
