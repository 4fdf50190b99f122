"""The small embedded model: what two slow CPU cores train in half an hour.

    sclc train --config experiments/cpu_small.py --workdir runs/cpu_small \
      --config.data.source folder:PHOTOS

Departures from the paper's schedule, all for lack of compute: narrow widths,
128x128 crops, one sampled level an image, a wavelet start of the transforms,
hundreds of steps in all, and a cosine decay within each stage.
"""

from sclc_jax.config import default_config_dict


def get_config():
  config = default_config_dict()
  config.model.N = 64
  config.model.M = 160
  config.model.init = "wavelet"
  config.model.importance_bias = 0.45
  config.model.table_init = "geometric"
  config.stages.base.steps = 450
  config.stages.quantization.steps = 100
  config.stages.selective.steps = 200
  config.optim.lr = 5e-4
  config.optim.warmup_steps = 20
  config.optim.clip_norm = 100.0
  config.optim.added_lr_factor = 10.0
  config.train.levels_per_image = 1
  config.train.log_every = 25
  config.train.checkpoint_every = 100
  config.data.crop_size = 128
  return config
