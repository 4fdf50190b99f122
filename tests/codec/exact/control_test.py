import numpy as np

from sclc_jax.codec.exact import control
from sclc_jax.models.variable_rate import VariableRate


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
