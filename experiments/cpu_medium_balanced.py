"""The revived `cpu-medium` trained on, with all levels counting alike.

    sclc train --config experiments/cpu_medium_balanced.py \
      --workdir runs/balanced --config.init_from runs/revived \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/balanced -o balanced.sclcm
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=160, M=320)
  config.model.mask_threshold = 0.3
  config.model.rate_weight = 0.04
  config.stages.base.steps = 0
  config.stages.quantization.steps = 1  # its parts come from init_from
  config.stages.quantization.rounding = "mixed"
  config.stages.selective.steps = 2000
  config.stages.selective.rounding = "mixed"
  config.stages.selective.mask = "inference"
  config.stages.decoder.steps = 500
  config.stages.decoder.lr = 1e-4
  config.optim.method = "soap"
  config.optim.lr = 2e-4
  config.optim.final_lr_fraction = 0.03
  config.optim.ema_decay = 0.995
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.2
  config.train.level_balance = 0.45
  config.train.checkpoint_every = 100
  return config
