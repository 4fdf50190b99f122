import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from sclc_jax.codec.codec import Codec
from sclc_jax.config import ModelConfig
from sclc_jax.export.freeze import freeze
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.train.revive import _blocks, _transform, revive
from sclc_jax.train.transfer import merge

_OLD = ModelConfig(
  N=12, M=10, init="wavelet", table_init="geometric", importance_bias=0.5,
  density="mixture", mask_threshold=0.3,
)  # fmt: skip
_WIDE = dataclasses.replace(_OLD, N=24)
_DEAD = np.arange(4, 10)


def _crops() -> np.ndarray:
  image = skimage.data.astronaut()
  return np.stack(
    [image[i : i + 128, j : j + 128] for i in (0, 256) for j in (0, 128, 256)]
  )


def _apply(config, params, *args, method):
  return VariableRate(config).apply({"params": params}, *args, method=method)


@pytest.fixture(scope="module")
def old():
  """A model that uses four channels of ten, inside a wider one."""
  params = init_params(_OLD, 1)
  layer = params["base"]["analysis"]["conv_3"]
  layer["kernel"] = layer["kernel"].at[..., _DEAD].set(0)
  return merge(init_params(_WIDE, 2), params)


@pytest.fixture(scope="module")
def revived(old):
  return revive(_WIDE, old, _crops(), 0.2)


def test_dead_channels_carry_what_the_model_could_not_show(old, revived):
  params, done = revived
  assert done.channels == len(_DEAD)
  # Its added width has to spare what is taken.
  assert done.freed < 1.01 * done.before
  assert done.after < 0.6 * done.before
  x = jnp.asarray(_crops() / 127.5 - 1, jnp.float32)
  before, after = (
    _apply(_WIDE, p, x, method="analysis")[..., _DEAD] for p in (old, params)
  )
  assert not before.any()
  assert np.all(np.std(after, (0, 1, 2)) > 0.05)


def test_shapes_stay_and_nothing_is_infinite(old, revived):
  shapes = jax.tree.map(np.shape, revived[0])
  assert shapes == jax.tree.map(np.shape, old)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(revived[0]))


def test_the_revived_model_codes_with_less_error(old, revived):
  image = skimage.data.astronaut()[:128, 128:256]
  errors = []
  for params in (old, revived[0]):
    codec = Codec(freeze(_WIDE, params))
    found = codec.decompress(codec.compress(image, quality=8))
    errors.append(np.mean((found - image.astype(float)) ** 2))
  assert errors[1] < 0.8 * errors[0]


def test_what_deviates_by_less_than_its_share_of_a_step_is_left_out(revived):
  """Of the revived channels, at every level; live ones keep their masks."""
  params = revived[0]
  x = jnp.asarray(_crops() / 127.5 - 1, jnp.float32)
  z = jnp.round(_apply(_WIDE, params, x, method="latents")[1])
  # The last layer's ReLU has gone into neither.
  features = _apply(
    _WIDE, params, z, method=lambda m, z: m.base.hyper_synthesis(z)[1]
  )
  layer = params["base"]["hyper_synthesis"]["conv_2"]
  scale = (features @ layer["kernel"][1, 1] + layer["bias"])[..., _DEAD]
  importance = _apply(_WIDE, params, z, method="prior")[1][..., _DEAD]
  steps = params["quantizer"]["qv"][:, _DEAD]
  gamma = params["selector"]["gamma"][:, _DEAD]
  for level in range(8):
    ratio = scale / steps[level]
    chosen = importance ** gamma[level] > _WIDE.mask_threshold
    sure = np.abs(ratio - 0.6) > 1e-3
    np.testing.assert_array_equal(chosen[sure], (ratio > 0.6)[sure])
    if level == 7:
      assert chosen.any() and not chosen.all()


def test_without_curves_of_their_own_all_revived_channels_are_selected(old):
  config = dataclasses.replace(_WIDE, curves="shared")
  params = init_params(config, 1) | {
    key: old[key] for key in ("base", "quantizer", "density")
  }
  found = revive(config, params, _crops(), 0.2)[0]["selector"]["head"]
  assert not found["kernel"][..., _DEAD].any()
  assert np.all(found["bias"][_DEAD] == 0.5)


def test_the_transform_gives_back_what_it_has_room_for():
  rng = np.random.default_rng(0)
  # A residual of one 16x16 pattern, and of x only what lies along it.
  pattern = rng.normal(size=768)
  pattern /= np.linalg.norm(pattern)
  x = rng.normal(size=(4000, 768))
  residual = np.outer(x @ pattern, pattern)
  taps = _transform(x.T @ x, residual.T @ x, (12, 48, 192, 1))

  def forward(values):
    for kernel in taps["analysis"]:
      n, side, _, channels = values.shape
      cells = values.reshape(n, side // 2, 2, side // 2, 2, channels)
      values = np.einsum("niajbc,abco->nijo", cells, kernel)
    return values

  def back(values):
    for kernel in taps["synthesis"][::-1]:
      n, side, _, _ = values.shape
      cells = np.einsum("nijo,abco->niajbc", values, kernel)
      values = cells.reshape(n, 2 * side, 2 * side, -1)
    return values

  found = back(forward(x.reshape(-1, 16, 16, 3)))
  np.testing.assert_allclose(_blocks(found), residual, atol=0.05)


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"base": "mean_scale"}, "'mean_scale'"),
    ({"adaptive": False}, "model.adaptive False"),
  ],
)
def test_other_models_are_refused(old, changes, message):
  config = dataclasses.replace(_WIDE, **changes)
  with pytest.raises(ValueError, match=message):
    revive(config, old, _crops(), 0.2)


def test_a_model_without_dead_channels_is_refused():
  params = init_params(_OLD, 1)
  with pytest.raises(ValueError, match="no channel of y is dead"):
    revive(_OLD, params, _crops(), 0.2)
