"""More steps for the medium model: what `cpu-medium` ships.

    sclc train --config experiments/cpu_medium_more.py --workdir runs/more \
      --config.init_from cpu-medium --config.data.source folder:PHOTOS

Starts from the model that cpu_medium.py and cpu_medium_tune.py made; its
selector waits while the quantization stage goes on without it. What selection
gives is measured against a run trained alike from the same point:

    sclc train ... --workdir runs/more --stop-at 800
    sclc export --workdir runs/more -o fork.sclcm
    sclc train ... --workdir runs/without --config.init_from fork.sclcm \
      --config.stages.quantization.steps 700 --config.stages.selective.steps 0
"""

from sclc_jax.config import default_config_dict


def get_config():
  config = default_config_dict()
  config.model.N = 128
  config.model.M = 192
  config.model.init = "wavelet"
  config.model.importance_bias = 0.5
  config.model.table_init = "geometric"
  config.stages.base.steps = 0
  config.stages.quantization.steps = 800
  config.stages.selective.steps = 700
  config.optim.lr = 2e-4
  config.optim.warmup_steps = 20
  config.optim.clip_norm = 100.0
  config.optim.added_lr_factor = 10.0
  config.optim.ema_decay = 0.995
  config.train.lmbda_first = 0.00075
  config.train.levels_per_image = 1
  config.train.log_every = 50
  config.train.checkpoint_every = 100
  config.data.crop_size = 128
  return config
