"""Selection and the decoder of the wide medium model: what `cpu-medium` ships.

    sclc train --config experiments/cpu_medium_select.py \
      --workdir runs/select --config.init_from wide.sclcm \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/select -o cpu-medium.sclcm

Starts from what cpu_medium_wide.py made, averaged parameters, with everything
selected. Masks, rounding and decoder as in cpu_medium_decoder.py.
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=128, M=320)
  config.model.mask_threshold = 0.3
  config.model.rate_weight = 0.04
  config.stages.base.steps = 0
  config.stages.quantization.steps = 1  # its parts come from init_from
  config.stages.quantization.rounding = "mixed"
  config.stages.selective.steps = 900
  config.stages.selective.rounding = "mixed"
  config.stages.decoder.steps = 900
  config.optim.method = "soap"
  config.optim.lr = 1.5e-4
  config.optim.final_lr_fraction = 0.03
  config.optim.ema_decay = 0.998
  config.train.lmbda_first = 0.00115
  config.train.checkpoint_every = 100
  return config
