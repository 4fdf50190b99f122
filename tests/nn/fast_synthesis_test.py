import jax
import numpy as np
import pytest

from sclc_jax.nn.fast_synthesis import WIDTHS, FastSynthesis, depth_to_space
from sclc_jax.nn.initial import initial_params


def _at(layer, t):
  """Kernel and bias of a layer at a quality."""
  return (
    np.asarray(layer[name], np.float64)
    + t * np.asarray(layer.get(f"{name}_slope", 0.0), np.float64)
    for name in ("kernel", "bias")
  )


def _up(x, layer, t):
  """out[2i + u - 1] += k[u] x[i], element by element."""
  h, w, _ = x.shape
  kernel, bias = _at(layer, t)
  out = np.zeros((2 * h + 3, 2 * w + 3, kernel.shape[-1]))
  for i, j, u, v in np.ndindex(h, w, 5, 5):
    out[2 * i + u, 2 * j + v] += x[i, j] @ kernel[u, v]
  return out[1 : 2 * h + 1, 1 : 2 * w + 1] + bias


def _same(x, layer, t):
  h, w, _ = x.shape
  kernel, bias = _at(layer, t)
  padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
  out = sum(
    padded[i : i + h, j : j + w] @ kernel[i, j] for i, j in np.ndindex(3, 3)
  )
  return out + bias


def _igdn(x, layer):
  gamma = np.maximum(np.asarray(layer["gamma"], np.float64), 2.0**-18) ** 2
  beta = np.asarray(layer["beta"], np.float64) ** 2
  return x * np.sqrt(beta + x**2 @ gamma)


def _plain(params, y, t):
  x = _igdn(_up(y, params["conv_0"], t), params["igdn_0"])
  x = _igdn(_up(x, params["conv_1"], t), params["igdn_1"])
  x = _igdn(_same(x, params["conv_2"], t), params["igdn_2"])
  blocks = _same(x, params["conv_3"], t)
  h, w, _ = blocks.shape
  out = np.empty((4 * h, 4 * w, 3))
  for i, j, k, m in np.ndindex(h, w, 4, 4):
    out[4 * i + k, 4 * j + m] = blocks[i, j, 12 * k + 3 * m :][:3]
  return out


@pytest.fixture(scope="module")
def y():
  return np.random.default_rng(0).normal(size=(1, 2, 3, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def params(y):
  """With slopes, which start at 0."""
  params = initial_params(FastSynthesis(), 0, y, np.float32(0))
  rng = np.random.default_rng(1)
  for layer in ("conv_1", "conv_2", "conv_3"):
    for name in ("kernel", "bias"):
      slope = params[layer][f"{name}_slope"]
      assert not np.any(slope)
      params[layer][f"{name}_slope"] = 0.03 * rng.normal(size=slope.shape)
  return params


@pytest.mark.parametrize("t", [-1.0, 0.25, 1.0])
def test_it_is_its_four_layers_one_after_the_other(params, y, t):
  got = FastSynthesis().apply({"params": params}, y, np.float32(t))
  assert got.shape == (1, 32, 48, 3)
  np.testing.assert_allclose(got[0], _plain(params, y[0], t), atol=1e-4)


def test_a_quality_for_each_position_is_taken_there(params, y):
  one = FastSynthesis().apply({"params": params}, y, np.float32(0.5))
  same = np.full((1, 2, 3), 0.5, np.float32)
  each = FastSynthesis().apply({"params": params}, y, same)
  np.testing.assert_allclose(each, one, atol=1e-5)
  same[0, 0, 0] = -1  # two positions of 4x4 pixels read past their own
  other = FastSynthesis().apply({"params": params}, y, same)
  changed = np.abs(other - one).max((0, 3))
  assert changed[:16, :16].max() > 1e-3
  assert changed[24:].max() < 1e-5 and changed[:, 24:].max() < 1e-5


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_block_lies_row_after_row(size):
  x = np.arange(2 * 3 * size * size * 3).reshape(1, 2, 3, -1)
  out = np.asarray(depth_to_space(jax.numpy.asarray(x), size))
  assert out.shape == (1, 2 * size, 3 * size, 3)
  block = out[0, size : 2 * size, 2 * size :]
  np.testing.assert_array_equal(block.ravel(), x[0, 1, 2])


def test_it_takes_an_eighth_of_the_multiplications_of_the_paper_widths():
  def macs(layers):  # (inputs, outputs, taps, outputs' positions a pixel)
    return sum(i * o * taps / per for i, o, taps, per in layers)

  N, M = 192, 320
  full = macs([(M, N, 25, 256), (N, N, 25, 64), (N, N, 25, 16), (N, 3, 25, 4),
               (N, N, 1, 64), (N, N, 1, 16), (N, N, 1, 4)])  # fmt: skip
  a, b, c = WIDTHS
  fast = macs([(M, a, 25, 256), (a, b, 25, 64), (b, c, 9, 16), (c, 48, 9, 16),
               (a, a, 1, 64), (b, b, 1, 16), (c, c, 1, 16)])  # fmt: skip
  assert full / fast > 8
