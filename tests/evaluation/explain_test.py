import numpy as np
import pytest

from sclc_jax.evaluation import explain
from sclc_jax.evaluation.peers import JPEG


@pytest.mark.parametrize("quality", [1, 4.5, 8])
def test_costs_sum_to_the_files_parts(codec, photo, quality):
  data = codec.compress(photo, quality)
  actual, info = explain.cost(codec, data), codec.info(data)
  assert abs(actual.y.sum() / 8 - info["y_bytes"]) < 4
  assert abs(actual.z.sum() / 8 - info["z_bytes"]) < 4
  np.testing.assert_allclose(actual.channels.sum(), actual.y.sum())
  assert actual.y.shape == (8, 12) and actual.z.shape == (2, 3)


@pytest.mark.parametrize("quality", [1, 2.25, 8])
def test_adjusted_importance_above_a_half_is_what_is_coded(
  codec, photo, quality
):
  analysis = codec.analyse(photo)
  adjusted = explain.adjusted_importance(codec, analysis, quality)
  assert adjusted.min() >= 0 and adjusted.max() <= 1
  clear = np.abs(adjusted - 0.5) > 1e-4  # thresholds are integers
  assert clear.mean() > 0.9
  mask = codec.mask(analysis, quality)
  np.testing.assert_array_equal((adjusted > 0.5)[clear], mask[clear])


def test_a_peer_takes_the_size_that_is_given(photo):
  for size in (2000, 6000):
    actual, picture = explain.peer_at_size(JPEG, photo, size)
    assert 0.9 * size < actual <= size and picture.shape == photo.shape
  actual, _ = explain.peer_at_size(JPEG, photo, 10)
  assert actual == len(JPEG.encode(photo, 1))
