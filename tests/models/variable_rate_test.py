import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from sclc_jax.codec.entropy.tables import SCALES, gaussian_tables
from sclc_jax.codec.latents.rdoq import RDOQ
from sclc_jax.config import BASES, ModelConfig, TrainConfig
from sclc_jax.models.selective import select
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.nn.likelihoods import to_bits
from sclc_jax.train.loss import lagrange_weights, rate_distortion


@pytest.mark.parametrize("base", BASES)
def test_one_update_trains_every_parameter_and_lowers_the_loss(base):
  config = ModelConfig(base, 4, 6, levels=3)
  model, params = VariableRate(config), init_params(config, 0)
  image = skimage.data.astronaut()[None, :64, 128:192]
  keys = jax.random.split(jax.random.key(1), 1)
  levels = jnp.array([[1]])

  lmbdas = lagrange_weights(TrainConfig(lmbda_first=0.01, lmbda_last=0.04), 3)

  @jax.jit
  def update(params):
    def loss(params):
      args = image, levels, keys, lmbdas, jnp.ones(3)
      return rate_distortion(model, params, *args)[0]

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


def _grads(base, rounding, mask="drawn"):
  """Gradients of one level, nested like the parameters."""
  config = ModelConfig(base, 4, 6, levels=3, density="mixture", init="wavelet")
  model = VariableRate(config, rounding, mask)
  params = init_params(config, 0)
  last = params["base"]["hyper_analysis"]["conv_2"]
  last["kernel"] = 20 * last["kernel"]  # so that z does not round to 0
  image = skimage.data.astronaut()[None, :64, 128:192]
  keys = jax.random.split(jax.random.key(1), 1)
  lmbdas = lagrange_weights(TrainConfig(lmbda_first=0.01, lmbda_last=0.04), 3)

  def loss(params):
    levels = jnp.array([[1]])
    args = image, levels, keys, lmbdas, jnp.ones(3)
    return rate_distortion(model, params, *args)[0]

  return jax.jit(jax.grad(loss))(params)


@pytest.mark.parametrize("rounding", ["noise", "mixed", "coded"])
def test_what_rates_come_from_is_float32_whatever_the_transforms(rounding):
  config = ModelConfig("hyperprior", 4, 6, levels=3)
  model = VariableRate(config, rounding)
  params = {"params": init_params(config, 0)}
  x = jnp.zeros((1, 64, 64, 3), jnp.bfloat16)
  keys = jax.random.split(jax.random.key(1), 1)
  bits, shared = model.apply(params, x, keys, method="shared")
  assert shared.y.dtype == jnp.bfloat16
  level = jnp.array([1])
  out = model.apply(params, shared, level, keys, 0, method="level")
  assert model.apply(params, x, level, keys)[0].dtype == jnp.bfloat16
  for array in (bits, shared.side, shared.importance, out.bits_y, out.y_hat):
    assert array.dtype == jnp.float32


@pytest.mark.parametrize("rounding", ["mixed", "coded"])
def test_gradients_pass_what_is_rounded(rounding):
  grads = _grads("hyperprior", rounding)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(grad).all() and np.any(grad != 0), path


def test_with_the_mask_of_inference_all_but_the_selector_learns():
  grads = _grads("hyperprior", "mixed", "inference")
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads["selector"]))
  del grads["selector"]
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(grad).all() and np.any(grad != 0), path


@pytest.mark.parametrize("base", ["hyperprior", "mean_scale"])
def test_the_mask_of_inference_is_what_will_be_coded(base):
  config = ModelConfig(base, 4, 6, levels=3, mask_threshold=0.3)
  model = VariableRate(config, "mixed", "inference")
  params = {"params": init_params(config, 0)}
  params["params"]["selector"]["head"]["bias"] = jnp.linspace(-0.4, 0.4, 6)
  x = skimage.data.astronaut()[None, :64, 128:192].astype(np.float32)
  keys = jax.random.split(jax.random.key(1), 1)

  def call(method, *args):
    return model.apply(params, *args, method=method)

  _, shared = call("shared", x / 127.5 - 1, keys)
  for level in range(3):
    out = call("level", shared, jnp.array([level]), keys, 0)
    mask = select(shared.importance, call("curves")[level])
    assert 0 < mask.mean() < 1
    assert out.selected[0] == mask.mean()


@pytest.mark.parametrize("base", ["hyperprior", "mean_scale"])
@pytest.mark.parametrize("rounding", ["mixed", "coded"])
def test_synthesis_sees_what_the_decoder_will(base, rounding):
  config = ModelConfig(base, 4, 6, levels=3, selective=False)
  model = VariableRate(config, rounding)
  params = {"params": init_params(config, 0)}
  x = skimage.data.astronaut()[None, :64, 128:192].astype(np.float32)
  x = 20 * (x / 127.5 - 1)
  keys = jax.random.split(jax.random.key(1), 1)

  def call(method, *args):
    return model.apply(params, *args, method=method)

  _, shared = call("shared", x, keys)
  out = call("level", shared, jnp.array([1]), keys, 0)
  y, z = call("latents", x)
  side, _ = call("prior", jnp.round(z))
  mean, scale = call("gaussian", side, y)
  mean = jnp.zeros_like(y) if mean is None else mean
  qv, iqv = (t[1] for t in call("quantizer_tables"))
  symbols = jnp.round((y - mean) / qv)
  assert np.any(symbols)
  y_hat = (symbols + mean / qv) * iqv
  np.testing.assert_allclose(out.y_hat, y_hat, rtol=1e-4, atol=1e-4)
  x_hat = model.apply(params, x, jnp.array([1]), keys)[0]
  np.testing.assert_allclose(
    x_hat, call("synthesis", y_hat, np.float32(1)), rtol=1e-4, atol=1e-4
  )
  bits = to_bits(call("y_likelihood", symbols, scale / qv)).sum()
  close = abs(out.bits_y[0] / bits - 1) < 1e-4
  assert close == (rounding == "coded")


def test_training_leaves_out_what_the_encoder_does():
  rng = np.random.default_rng(0)
  index = rng.integers(0, 50, 5000).astype(np.int32)
  values = rng.laplace(0, SCALES[index]).astype(np.float32)
  kept = np.abs(values) < 15
  values, index = values[kept], index[kept]
  expected = RDOQ(gaussian_tables(), 0.04)(values, index)
  symbols = VariableRate(ModelConfig(rate_weight=0.04)).apply(
    {}, np.round(values), values, SCALES[index], method="_rdoq"
  )
  assert np.mean(expected != np.round(values)) > 0.01
  assert np.mean(symbols != expected) < 0.005  # counts of tables are whole
