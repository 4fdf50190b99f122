"""The medium model: what two CPU cores with AVX-512 train in an hour.

    sclc train --config experiments/cpu_medium.py --workdir runs/cpu_medium \
      --config.data.source folder:PHOTOS

Departures from the paper's schedule, all for lack of compute: narrow widths,
128x128 crops, one sampled level an image, a wavelet start of the transforms,
4,000 steps in all, and a cosine decay within each stage.
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=128, M=192, crop_size=128, batch_size=8)
  config.model.density = "normal"
  config.stages.base.steps = 2400
  config.stages.quantization.steps = 500
  config.stages.selective.steps = 1100
  config.stages.selective.lr = 5e-5
  config.optim.lr = 5e-4
  config.optim.warmup_steps = 50
  config.train.log_every = 25
  config.train.checkpoint_every = 100
  return config
