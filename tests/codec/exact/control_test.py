import numpy as np
import pytest

from sclc_jax.codec.exact import control
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn.transforms import LEAK_BITS, LEAK_FACTOR


def _z(model, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(-20, 21, (3, 2, model.config.N)).astype(np.int32)


def test_integer_path_follows_the_float_path(tiny_model):
  z = _z(tiny_model)
  scale, importance = tiny_model.control.prior(z)
  variables = {"params": tiny_model.params}
  float_scale, float_importance = VariableRate(tiny_model.config).apply(
    variables, z[None].astype(np.float32), method="prior"
  )
  np.testing.assert_allclose(
    scale / 2.0**control.SCALE_BITS, float_scale[0], atol=0.01, rtol=1e-3
  )
  np.testing.assert_allclose(
    importance / 2.0**control.IMPORTANCE_BITS, float_importance[0], atol=1e-3
  )


def test_prior_is_exact_whatever_the_order_of_sums(tiny_model, monkeypatch):
  z = _z(tiny_model, 1)
  expected = tiny_model.control.prior(z)
  order = np.random.default_rng(0).permutation(tiny_model.config.N)

  def shuffled(c):
    return control.IntegerConv(c.weight[:, :, order], c.bias, c.shift)

  convs = (shuffled(tiny_model.control.convs[0]), *tiny_model.control.convs[1:])
  permuted = control.ControlPath(
    convs, tiny_model.control.head, tiny_model.control.thresholds,
    tiny_model.control.reciprocals,
  )  # fmt: skip
  for a, b in zip(expected, permuted.prior(z[..., order])):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (5, 3)])
@pytest.mark.parametrize("positions", [1, 7, 512])
def test_sums_are_those_of_plain_integers(
  signed, shape, positions, monkeypatch
):
  """Each output of each layer, one sum after another."""
  monkeypatch.setattr(control, "_POSITIONS", positions)
  rng = np.random.default_rng(0)

  def layer(size, inputs, outputs):
    kernel = rng.normal(size=(size, size, inputs, outputs))
    bias = rng.normal(size=outputs)
    return {"kernel": 0.2 * kernel, "bias": bias}

  hyper = {"conv_0": layer(5, 4, 3), "conv_1": layer(5, 3, 5),
           "conv_2": layer(3, 5, 6)}  # fmt: skip
  context = {"conv_0": layer(1, 6, 7)} if signed else None
  path = control.build_control_path(
    hyper, np.ones((2, 6)), layer(1, 5, 6), np.ones((2, 6)), signed, context
  )
  z = rng.integers(-9, 10, (*shape, 4))
  side, importance = path.prior(z)
  assert side.dtype == importance.dtype == np.int32

  def up(x, conv):
    h, w, _ = x.shape
    out = np.zeros((2 * h + 3, 2 * w + 3, conv.bias.size), object)
    for i, j, t, u in np.ndindex(h, w, 5, 5):
      out[2 * i + t, 2 * j + u] += x[i, j] @ conv.weight[t, u].astype(object)
    return out[1 : 2 * h + 1, 1 : 2 * w + 1] + conv.bias

  def same(x, conv):
    h, w, _ = x.shape
    edge = len(conv.weight) // 2
    x = np.pad(x, ((edge, edge), (edge, edge), (0, 0)))
    out = np.zeros((h, w, conv.bias.size), object) + conv.bias
    for i, j, t, u in np.ndindex(h, w, *conv.weight.shape[:2]):
      out[i, j] += x[i + t, j + u] @ conv.weight[t, u].astype(object)
    return out

  def rescaled(acc, conv, more, least, most):
    shift = [int(by) + more for by in conv.shift]
    up = np.array([2 ** max(-by, 0) for by in shift], object)
    down = np.array([2 ** max(by, 0) for by in shift], object)
    return np.maximum(np.minimum(acc * up // down, most), least)

  def activated(acc, conv, more):
    most = control.ACTIVATION_MAX
    x = rescaled(acc, conv, more, -most if signed else 0, most)
    return np.maximum(x, x * LEAK_FACTOR >> LEAK_BITS) if signed else x

  bits = control.ACTIVATION_BITS
  x = activated(up(z.astype(object), path.convs[0]), path.convs[0], -bits)
  x = activated(up(x, path.convs[1]), path.convs[1], 0)
  most, conv = control.SCALE_MAX, path.convs[2]
  expected = rescaled(
    same(x, conv), conv, bits - control.SCALE_BITS, -most if signed else 0, most
  )
  for conv in path.convs[3:]:
    expected = rescaled(same(expected, conv), conv, 0, -most, most)
  np.testing.assert_array_equal(side, expected)
  half = 2 ** (control.IMPORTANCE_BITS - 1)
  more = bits - control.IMPORTANCE_BITS
  expected = rescaled(same(x, path.head), path.head, more, -half, half) + half
  np.testing.assert_array_equal(importance, expected)


def test_every_partial_sum_is_bounded(tiny_model):
  inputs = (control.Z_MAX, *3 * (control.ACTIVATION_MAX,))
  convs = (*tiny_model.control.convs, tiny_model.control.head)
  for conv, largest in zip(convs, inputs, strict=True):
    sums = np.abs(conv.weight.astype(np.int64)).sum((0, 1, 2)) * largest
    assert (sums + np.abs(conv.bias) < 2**53).all()


def test_steps_between_levels_are_geometric_and_hit_the_levels():
  table = np.array([[8.0], [2.0], [1.0]])
  steps = control.interpolate(table)
  assert steps.shape == (129, 1)
  np.testing.assert_allclose(steps[[0, 64, 128]], table)
  np.testing.assert_allclose(steps[32], 4.0)


def test_index_is_the_nearest_scale_in_logarithm(tiny_model):
  from sclc_jax.codec.entropy.tables import SCALES

  path = tiny_model.control
  reciprocals = np.full((1, 3), 2**control.RECIPROCAL_BITS, np.int32)
  path = control.ControlPath(path.convs, None, path.thresholds, reciprocals)
  wanted = np.array([[[0.0, 0.5, 1000.0]]])
  scale = np.round(wanted * 2**control.SCALE_BITS).astype(np.int64)
  index = path.index(scale, np.ones(scale.shape, bool), 0)
  nearest = np.argmin(np.abs(np.log(SCALES) - np.log(0.5)))
  assert index.tolist() == [0, nearest, 63]
