"""The medium model with the paper's 320 channels of y.

    sclc train --config experiments/cpu_medium_wide.py --workdir runs/wide \
      --config.init_from cpu-medium-192.sclcm \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/wide -o wide.sclcm

Starts from what cpu_medium_decoder.py made, which goes on inside it.
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=128, M=320)
  config.stages.base.steps = 0
  config.stages.quantization.steps = 5200
  config.stages.quantization.rounding = "mixed"
  config.optim.method = "soap"
  config.optim.lr = 3e-4
  config.optim.final_lr_fraction = 0.03
  config.optim.ema_decay = 0.998
  config.train.lmbda_first = 0.00115
  config.train.checkpoint_every = 100
  return config
