"""A small model: a quarter of an hour on two slow CPU cores (110 GFLOP/s).

    sclc train --config small_cpu --workdir runs/small \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/small -o small.sclcm

Expect a little more than the shipped `cpu-small`, which has 0.222 bpp at 25.24
dB (quality 1) to 1.964 at 33.71 (quality 8) on Kodak: that had crops of 128, a
Gaussian density of y and no decoder stage. This form has not been measured.
"""

from sclc_jax.config import default_config_dict


def get_config():
  config = default_config_dict()
  config.model.N = 64
  config.model.M = 160
  config.model.init = "wavelet"
  config.model.table_init = "geometric"
  config.model.importance_bias = 0.45
  config.model.density = "mixture"

  config.stages.base.steps = 450
  config.stages.quantization.steps = 100
  config.stages.selective.steps = 200
  config.stages.decoder.steps = 100

  config.optim.lr = 5e-4
  config.optim.warmup_steps = 20
  config.optim.clip_norm = 100.0
  config.optim.added_lr_factor = 10.0

  config.train.levels_per_image = 1
  config.train.log_every = 25
  config.train.checkpoint_every = 100

  config.data.batch_size = 4
  config.data.crop_size = 256  # of 128 whole photographs take 12 to 16 % more
  return config
