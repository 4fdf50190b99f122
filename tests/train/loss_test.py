import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from sclc_jax.config import ModelConfig, TrainConfig, from_dict
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.train.data import make_batches
from sclc_jax.train.loop import train
from sclc_jax.train.loss import (
  draw_levels,
  lagrange_weights,
  level_weights,
  rate_distortion,
)

_CONFIG = from_dict(
  {
    "model": {"N": 2, "M": 2, "levels": 2, "init": "wavelet"},
    "stages": {"base": {"steps": 1}},
    "train": {"distortion": "ms_ssim", "log_every": 1},
    "data": {"batch_size": 1, "crop_size": 192},
  }
)


def test_weights_are_the_paper_s_and_the_commonly_used():
  np.testing.assert_allclose(
    lagrange_weights(TrainConfig(), 8), 0.0015625 * 2.0 ** np.arange(8)
  )
  common = [2.40, 4.58, 8.73, 16.64, 31.73, 60.50, 115.37, 220.00]
  actual = lagrange_weights(TrainConfig(distortion="ms_ssim"), 8)
  np.testing.assert_allclose(actual, common, atol=0.006)


def test_levels_count_alike_unless_they_are_balanced():
  np.testing.assert_array_equal(level_weights(TrainConfig(), 8), np.ones(8))
  weights = np.asarray(level_weights(TrainConfig(level_balance=0.45), 8))
  np.testing.assert_allclose(weights.mean(), 1, rtol=1e-6)
  np.testing.assert_allclose(weights[:-1] / weights[1:], 2**0.45, rtol=1e-5)
  top_alone = level_weights(TrainConfig(level_balance=0.45), 8, adaptive=False)
  np.testing.assert_array_equal(top_alone, np.ones(8))


@pytest.mark.parametrize("asked, drawn", [(0, 8), (8, 8), (2, 2)])
def test_all_levels_are_drawn_unless_fewer_are_asked_for(asked, drawn):
  config = from_dict(
    {
      "stages": {"base": {"steps": 1}},
      "train": {"levels_per_image": asked},
    }
  )
  keys = jax.random.split(jax.random.key(0), 3)
  levels = np.asarray(draw_levels(config, True, keys))
  assert levels.shape == (drawn, 3)
  assert all(len(set(image)) == drawn for image in levels.T)
  assert levels.min() >= 0 and levels.max() < 8


def test_a_balance_that_would_turn_the_levels_round_is_named():
  with pytest.raises(ValueError, match=r"level_balance must be in \[0, 1\]"):
    TrainConfig(level_balance=1.5)


def test_the_loss_counts_each_level_by_its_weight():
  config = ModelConfig(N=2, M=2, levels=2, init="wavelet")
  params = init_params(config, 0)
  image = skimage.data.astronaut()[None, :64, :64]
  levels, keys = jnp.array([[0], [1]]), jax.random.split(jax.random.key(1), 1)
  lmbdas, weights = jnp.array([0.01, 0.04]), jnp.array([1.5, 0.5])
  loss, sums = rate_distortion(
    VariableRate(config), params, image, levels, keys, lmbdas, weights
  )
  each = lmbdas * sums["mse"] + sums["bpp"]
  np.testing.assert_allclose(loss, np.sum(weights * each), rtol=1e-5)


def test_the_shallow_synthesis_learns_what_the_full_one_shows():
  config = ModelConfig(N=2, M=2, levels=2, init="wavelet", fast=True)
  params = init_params(config, 0)
  image = skimage.data.astronaut()[None, :64, :64]
  levels, keys = jnp.array([[1]]), jax.random.split(jax.random.key(1), 1)
  model = VariableRate(config, "coded")
  variables = {"params": params}
  x = jnp.float32(image) / 127.5 - 1
  _, shared = model.apply(variables, x, keys, method="shared")
  out = model.apply(variables, shared, levels[0], keys, 0, method="level")
  full, fast = (
    (model.apply(variables, out.y_hat, levels[0], method=method) + 1) * 127.5
    for method in ("synthesis", "fast")
  )
  full = jnp.clip(full, 0, 255)
  ones = jnp.ones(2)

  def loss(distillation):
    return rate_distortion(
      model, params, image, levels, keys, ones, ones, distillation=distillation
    )

  rate = loss(0.0)[1]["bpp"][1]
  alone, both = (2 * jnp.mean((fast - shown) ** 2) for shown in (image, full))
  np.testing.assert_allclose(loss(0.0)[0], alone + 2 * rate, rtol=1e-4)
  np.testing.assert_allclose(loss(1.0)[0], both + 2 * rate, rtol=1e-4)
  mixed = 0.25 * alone + 0.75 * both + 2 * rate
  np.testing.assert_allclose(loss(0.75)[0], mixed, rtol=1e-4)
  mse = loss(1.0)[1]["mse"][1]
  np.testing.assert_allclose(mse, alone / 2, rtol=1e-4)


def test_crops_too_small_for_ms_ssim_are_named():
  with pytest.raises(ValueError, match="at least 192 .* 161 .* got 128"):
    from_dict(
      {"data": {"crop_size": 128}, "stages": {"base": {"steps": 1}},
       "train": {"distortion": "ms_ssim"}}
    )  # fmt: skip


def test_training_on_ms_ssim_logs_it_and_its_loss(tmp_path):
  image = skimage.data.astronaut()[:192, :192]

  def batches(step):
    return make_batches(
      [image], crop_size=192, batch_size=1, seed=0, start_step=step
    )

  train(_CONFIG, tmp_path, batches, quiet=True)
  with (tmp_path / "log.csv").open() as file:
    row = {k: v for k, v in next(csv.DictReader(file)).items() if k != "stage"}
  assert row["ms_ssim_1"] == ""  # no example had the level
  row = {key: float(value) for key, value in row.items() if value}
  assert row["skipped"] == 0 and 0 < row["ms_ssim_2"] < 1
  assert row["psnr_db_2"] > 5
  np.testing.assert_allclose(
    row["loss"], 220 * (1 - row["ms_ssim_2"]) + row["bpp_2"], rtol=1e-3
  )
