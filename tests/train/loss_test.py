import csv

import numpy as np
import pytest
import skimage.data

from sclc_jax.config import TrainConfig, from_dict
from sclc_jax.train.data import make_batches
from sclc_jax.train.loop import train
from sclc_jax.train.loss import lagrange_weights

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
  found = lagrange_weights(TrainConfig(distortion="ms_ssim"), 8)
  np.testing.assert_allclose(found, common, atol=0.006)


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
  row = {key: float(value) for key, value in row.items()}
  assert row["skipped"] == 0 and 0 < row["ms_ssim_2"] < 1
  assert row["psnr_db_2"] > 5 and np.isnan(row["ms_ssim_1"])
  np.testing.assert_allclose(
    row["loss"], 220 * (1 - row["ms_ssim_2"]) + row["bpp_2"], rtol=1e-3
  )
