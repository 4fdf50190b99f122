import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from sclc_jax.config import BASES, ModelConfig, TrainConfig
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.train.loss import lagrange_weights, rate_distortion


@pytest.mark.parametrize("base", BASES)
def test_one_update_trains_every_parameter_and_lowers_the_loss(base):
  config = ModelConfig(base, 4, 6, levels=3)
  model, params = VariableRate(config), init_params(config, 0)
  image = skimage.data.astronaut()[None, :64, 128:192]
  keys = jax.random.split(jax.random.key(1), 1)
  levels = jnp.array([[1]])

  lmbdas = lagrange_weights(TrainConfig(lmbda_first=0.01), 3)

  @jax.jit
  def update(params):
    def loss(params):
      return rate_distortion(model, params, image, levels, keys, lmbdas)[0]

    value, grads = jax.value_and_grad(loss)(params)
    norm = sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)) ** 0.5
    step = jax.tree.map(lambda p, g: p - 1e-4 * g / norm, params, grads)
    return value, grads, step

  value, grads, params = update(params)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(grad).all(), path
    assert np.any(grad != 0), path
  assert update(params)[0] < value


@pytest.mark.parametrize("base", BASES[1:])
@pytest.mark.parametrize("unselected", ["mean", "zero"])
def test_unselected_elements_are_filled_as_the_config_says(base, unselected):
  config = ModelConfig(base, 4, 6, unselected=unselected)
  model = VariableRate(config)
  y_tilde, mean = jnp.array([3.0, 5.0]), jnp.array([0.5, 0.25])
  mask = jnp.array([1.0, 0.0])
  filled = model.apply({}, y_tilde, mask, mean, 0.5, method="_fill")
  expected = [3.0, 0.5 if unselected == "mean" else 0.0]
  np.testing.assert_array_equal(filled, expected)
