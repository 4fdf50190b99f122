import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from runs import batches, final

from sclc_jax.codec.model.model_file import find_model
from sclc_jax.config import ModelConfig, from_dict
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.runs.experiment import load_checkpoint
from sclc_jax.train.latent_error import CROPS, LatentError, measure
from sclc_jax.train.loop import train
from sclc_jax.train.loss import rate_distortion

_CONFIG = {
  "model": {"N": 4, "M": 6, "init": "wavelet", "table_init": "geometric"},
  "stages": {
    "quantization": {"steps": 1},
    "selective": {"steps": 4, "error": "latents"},
  },
  "optim": {"lr": 1e-3, "ema_decay": 0.9},
  "train": {"levels_per_image": 2, "log_every": 1, "checkpoint_every": 2},
  "data": {"batch_size": 2, "crop_size": 64},
}


def test_the_error_of_latents_is_about_that_of_the_picture():
  model = find_model("cpu-small")
  photo, other = skimage.data.astronaut(), skimage.data.coffee()
  crops = [photo[i : i + 128, j : j + 128] for i in (0, 384) for j in (0, 200)]
  latent = measure(model.config, model.params, iter([np.stack(crops)] * 2), 0)
  images = np.stack([other[100:228, 100:228], photo[150:278, 150:278]])
  keys = jax.random.split(jax.random.key(1), 2)
  levels = jnp.tile(jnp.arange(8)[:, None], (1, 2))

  def mse(error):
    floats = VariableRate(model.config, "decoder", "inference", error)
    ones = np.ones(8)
    _, sums = rate_distortion(
      floats, model.params, images, levels, keys, ones, ones,
      latent_error=latent,
    )  # fmt: skip
    return np.asarray(sums["mse"])

  np.testing.assert_allclose(mse("latents"), mse("pixels"), rtol=0.25)


def test_what_is_measured_does_not_depend_on_what_follows_in_the_stream():
  config = ModelConfig("hyperprior", 4, 6, levels=2, init="wavelet")
  params = init_params(config, 0)
  image = skimage.data.astronaut()[:64, :64]
  enough = [np.stack([image] * (CROPS // 2))] * 2

  def stream():
    yield from enough
    raise AssertionError("read on")

  found = measure(config, params, stream(), 3)
  again = measure(config, params, iter(enough), 3)
  jax.tree.map(np.testing.assert_array_equal, found, again)
  assert found.weight.shape == (2, 6) and np.all(found.weight > 0)
  np.testing.assert_array_equal(found.gain, 1)


def test_errors_count_by_level_and_channel():
  latent = LatentError(
    gain=jnp.array([[1.0, 0.5], [1.0, 1.0]]),
    weight=jnp.array([[2.0, 3.0], [5.0, 7.0]]),
    rest=jnp.array([10.0, 20.0]),
  )
  y = jnp.ones((2, 1, 2, 2))
  y_hat = y + jnp.array([1.0, 0.0])
  found = latent(y, y_hat, jnp.array([0, 1]))
  np.testing.assert_allclose(found, [10 + 2 + 3 * 0.25, 20 + 5])


def test_the_transforms_stay_and_all_else_learns(tmp_path):
  config = from_dict(_CONFIG)
  train(config, tmp_path, batches, quiet=True)
  before, after = (load_checkpoint(tmp_path, step)[1] for step in (2, 5))
  base = before["base"], after["base"]
  for part in ("analysis", "synthesis"):
    jax.tree.map(np.testing.assert_array_equal, *(b.pop(part) for b in base))
  for path, (old, new) in jax.tree_util.tree_leaves_with_path(
    jax.tree.map(
      lambda *pair: pair, *base, is_leaf=lambda x: isinstance(x, np.ndarray)
    ),
    is_leaf=lambda x: isinstance(x, tuple),
  ):
    assert np.any(np.asarray(old) != np.asarray(new)), path
  gamma = after["selector"]["gamma"]
  assert np.any(gamma != init_params(config.model, 0)["selector"]["gamma"])


def test_a_resumed_run_equals_an_unbroken_one(tmp_path):
  config = from_dict(_CONFIG)
  for stop in (1, 2, 4):
    train(config, tmp_path / "parts", batches, stop_at=stop, quiet=True)
  for name in ("parts", "whole"):
    train(config, tmp_path / name, batches, quiet=True)
  (step, state), (_, whole) = (
    final(tmp_path / name, config) for name in ("parts", "whole")
  )
  assert step == 5
  jax.tree.map(np.testing.assert_array_equal, state, whole)


def test_it_is_refused_where_the_distortion_is_another():
  parts = dict(_CONFIG, train={"distortion": "ms_ssim"})
  parts["data"] = {"crop_size": 192}
  with pytest.raises(ValueError, match="'pixels' .* 'ms_ssim', got 'latents'"):
    from_dict(parts)


def test_an_unknown_error_is_named():
  stage = from_dict(_CONFIG).stages.selective
  with pytest.raises(ValueError, match="stages.*error .* got 'features'"):
    dataclasses.replace(stage, error="features")
