"""The medium model for MS-SSIM, which `hyperprior-ms-ssim` has replaced.

    sclc train --config experiments/cpu_medium_ms_ssim.py \
      --workdir runs/ms_ssim --config.init_from more.sclcm \
      --config.data.source folder:PHOTOS

Starts from what cpu_medium_more.py made, trained for MSE. The weights of the
levels are geometric from 2.4 to 100 instead of to 220, where that model's MS-
SSIM and rate trade off at its top level. Crops of 192, the smallest whose
scales hold a window.
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=128, M=192)
  config.model.density = "normal"
  config.stages.base.steps = 0
  config.stages.quantization.steps = 600
  config.stages.selective.steps = 400
  config.optim.lr = 2e-4
  config.optim.ema_decay = 0.995
  config.data.crop_size = 192
  config.data.batch_size = 4
  config.train.distortion = "ms_ssim"
  config.train.ms_ssim_lmbda_last = 100.0
  config.train.log_every = 25
  config.train.checkpoint_every = 100
  return config
