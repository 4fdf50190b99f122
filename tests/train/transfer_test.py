import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from sclc_jax.config import ModelConfig
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.train.transfer import merge

_NARROW = ModelConfig(
  N=6, M=8, init="wavelet", table_init="geometric", density="mixture",
  selective=False,
)  # fmt: skip
_WIDE = dataclasses.replace(_NARROW, N=8, M=14)


def _jostled(config):
  """Parameters away from their start, so that no zero hides a mistake."""
  leaves, tree = jax.tree.flatten(init_params(config, 1))
  keys = jax.random.split(jax.random.key(2), len(leaves))
  return tree.unflatten(
    leaf * jax.random.uniform(key, leaf.shape, minval=0.5, maxval=1.5)
    + 0.02 * jax.random.uniform(key, leaf.shape)
    for key, leaf in zip(keys, leaves)
  )


def _pass(config, params):
  x = skimage.data.astronaut()[None, :128, :128] / 127.5 - 1
  return VariableRate(config, "mixed").apply(
    {"params": params}, jnp.asarray(x, jnp.float32), jnp.array([6]),
    jax.random.key(0)[None],
  )  # fmt: skip


@pytest.mark.parametrize("wide", [{"M": 14}, {"N": 8}, {"N": 8, "M": 14}])
def test_a_narrow_model_goes_on_inside_a_wide_one(wide):
  wide = dataclasses.replace(_NARROW, **wide)
  old = _jostled(_NARROW)
  params = merge(init_params(wide, 3), old)
  expected, bits_z, old_out = _pass(_NARROW, old)
  x_hat, wide_z, out = _pass(wide, params)
  scale = np.abs(expected).max()
  np.testing.assert_allclose(x_hat, expected, atol=1e-3 * scale)
  if wide.M > _NARROW.M:
    assert out.bits_y > old_out.bits_y
  if wide.N > _NARROW.N:
    assert wide_z > bits_z
  else:
    np.testing.assert_allclose(wide_z, bits_z, rtol=1e-5)


def test_what_is_added_to_z_costs_little():
  old = init_params(_NARROW, 1)
  wide = dataclasses.replace(_NARROW, N=8)
  _, bits_z, _ = _pass(_NARROW, old)
  _, wide_z, _ = _pass(wide, merge(init_params(wide, 3), old))
  _, fresh_z, _ = _pass(wide, init_params(wide, 3))
  assert 0 < wide_z - bits_z < (fresh_z - bits_z) / 2


def test_what_is_added_can_be_learned():
  params = merge(init_params(_WIDE, 3), _jostled(_NARROW))

  def distortion(params):
    return jnp.mean(_pass(_WIDE, params)[0] ** 2)

  grads = jax.grad(distortion)(params)["base"]["synthesis"]["conv_3"]["kernel"]
  assert np.all(np.abs(grads[:, :, _NARROW.M :]).max((0, 1, 3)) > 0)


def test_a_wider_selector_keeps_everything_at_first():
  narrow, wide = (
    dataclasses.replace(c, selective=True, importance_bias=0.5)
    for c in (_NARROW, _WIDE)
  )
  params = merge(init_params(wide, 3), _jostled(narrow))
  _, _, out = _pass(wide, params)
  assert out.selected == 1
  deeper = dataclasses.replace(narrow, N=8)  # as many curves: they go on
  old = _jostled(narrow)
  kept = merge(init_params(deeper, 3), old)["selector"]
  np.testing.assert_array_equal(kept["gamma"], old["selector"]["gamma"])


@pytest.mark.parametrize(
  "config, old",
  [
    ({}, {"N": 8, "M": 14}),
    ({"M": 14}, {"base": "mean_scale"}),
    ({"M": 14, "base": "mean_scale"}, {"base": "mean_scale"}),
    ({"M": 14}, {"levels": 4}),
  ],
)
def test_what_does_not_fit_is_refused(config, old):
  config, old = (dataclasses.replace(_NARROW, **c) for c in (config, old))
  with pytest.raises(ValueError, match=r"^\w+\..* does not fit .*wider one"):
    merge(init_params(config, 0), init_params(old, 0))


def test_missing_parts_start_anew():
  fresh, old = init_params(_NARROW, 0), init_params(_NARROW, 1)
  del old["quantizer"], old["base"]["hyper_analysis"]
  params = merge(fresh, old)
  jax.tree.map(
    np.testing.assert_array_equal, params["quantizer"], fresh["quantizer"]
  )
  jax.tree.map(
    np.testing.assert_array_equal,
    params["base"]["synthesis"],
    old["base"]["synthesis"],
  )
