import jax
import numpy as np
import pytest

from sclc_jax.nn.fast_synthesis import WIDTHS, FastSynthesis, depth_to_space
from sclc_jax.nn.initial import initial_params


def _up(x, layer):
  """out[2i + t - 1] += k[t] x[i], element by element."""
  h, w, _ = x.shape
  kernel = np.asarray(layer["kernel"], np.float64)
  out = np.zeros((2 * h + 3, 2 * w + 3, kernel.shape[-1]))
  for i, j, t, u in np.ndindex(h, w, 5, 5):
    out[2 * i + t, 2 * j + u] += x[i, j] @ kernel[t, u]
  return out[1 : 2 * h + 1, 1 : 2 * w + 1] + np.asarray(layer["bias"])


def _same(x, layer):
  h, w, _ = x.shape
  kernel = np.asarray(layer["kernel"], np.float64)
  padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
  out = sum(
    padded[i : i + h, j : j + w] @ kernel[i, j] for i, j in np.ndindex(3, 3)
  )
  return out + np.asarray(layer["bias"])


def _igdn(x, layer):
  gamma = np.maximum(np.asarray(layer["gamma"], np.float64), 2.0**-18) ** 2
  beta = np.asarray(layer["beta"], np.float64) ** 2
  return x * np.sqrt(beta + x**2 @ gamma)


def _plain(params, y):
  x = _igdn(_up(y, params["conv_0"]), params["igdn_0"])
  x = _igdn(_up(x, params["conv_1"]), params["igdn_1"])
  x = _igdn(_same(x, params["conv_2"]), params["igdn_2"])
  blocks = _same(x, params["conv_3"])
  h, w, _ = blocks.shape
  out = np.empty((4 * h, 4 * w, 3))
  for i, j, k, m in np.ndindex(h, w, 4, 4):
    out[4 * i + k, 4 * j + m] = blocks[i, j, 12 * k + 3 * m :][:3]
  return out


def test_it_is_its_four_layers_one_after_the_other():
  y = np.random.default_rng(0).normal(size=(1, 2, 3, 5)).astype(np.float32)
  params = initial_params(FastSynthesis(), 0, y)
  got = FastSynthesis().apply({"params": params}, y)
  assert got.shape == (1, 32, 48, 3)
  np.testing.assert_allclose(got[0], _plain(params, y[0]), atol=1e-4)


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
