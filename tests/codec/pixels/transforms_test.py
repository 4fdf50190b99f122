import dataclasses

import numpy as np
import pytest

from sclc_jax.codec.exact import control
from sclc_jax.codec.pixels.picture import padded_part
from sclc_jax.codec.pixels.transforms import MARGINS, Transforms
from sclc_jax.models.variable_rate import VariableRate, init_params


@pytest.mark.parametrize("shape", [(640, 64, 3), (64, 700), (400, 330, 3)])
def test_tiles_give_the_whole_picture(codec, monkeypatch, shape):
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, shape).astype(np.uint8)
  whole = codec.analyse(image)
  picture = codec.decompress(codec.encode(whole, 8))
  small = Transforms(codec.model.config, codec.model.params, tile=16)
  monkeypatch.setattr(codec, "transforms", small)
  monkeypatch.setattr(control, "_TILE", 2)
  monkeypatch.setattr(control, "_POSITIONS", 7)
  tiled = codec.analyse(image)
  np.testing.assert_allclose(tiled.y, whole.y, atol=1e-3)
  assert np.abs(tiled.z - whole.z).max() <= 1
  exact = codec.model.control.prior(whole.z)
  np.testing.assert_array_equal(exact[0], whole.side)
  np.testing.assert_array_equal(exact[1], whole.importance)
  again = codec.decompress(codec.encode(whole, 8))
  assert np.abs(again.astype(int) - picture).max() <= 1


@pytest.mark.parametrize(
  "method", ["analysis", "hyper_analysis", "synthesis", "fast"]
)
def test_margins_of_tiles_are_exactly_what_an_edge_can_influence(codec, method):
  """A change outside the margin leaves a position as it is, one inside not."""
  rng = np.random.default_rng(0)
  config = codec.model.config
  params = {"params": codec.model.params}
  if method == "fast":
    config = dataclasses.replace(config, fast=True)
    params = {"params": init_params(config, 0)}
  scale, channels, out = {
    "analysis": (16, 3, 1),
    "hyper_analysis": (4, config.M, 1),
    "synthesis": (1, config.M, 16),
    "fast": (1, config.M, 16),
  }[method]
  before, after = MARGINS[method]
  size, position = 8, 4
  x = rng.normal(0, 50, (scale * size, scale * size, channels))
  x = x.astype(np.float32)

  def at_place(x):
    model = VariableRate(config)
    inputs = [x[None]] if out == 1 else [x[None], np.float32(3)]
    actual = np.asarray(model.apply(params, *inputs, method=method)[0])
    part = slice(position * out, (position + 1) * out)
    return actual[part, part]

  outside, above, below = x.copy(), x.copy(), x.copy()
  far = np.ones(size * scale, bool)
  far[(position - before) * scale : (position + after + 1) * scale] = False
  outside[far], outside[:, far] = 0, 0
  np.testing.assert_array_equal(at_place(outside), at_place(x))
  above[: (position - before + 1) * scale] *= 3
  below[(position + after) * scale :] *= 3
  for inside in (above, below):
    assert (at_place(inside) != at_place(x)).any()


def test_padding_repeats_the_edge(photo):
  part = padded_part(photo, slice(120, 140), slice(0, 4))
  np.testing.assert_array_equal(part[8:], np.repeat(photo[-1:, :4], 12, 0))
