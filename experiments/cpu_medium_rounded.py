"""The medium model on latents that are really rounded: what `cpu-medium` ships.

    sclc train --config experiments/cpu_medium_rounded.py \
      --workdir runs/rounded --config.init_from crops.sclcm \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/rounded -o cpu-medium.sclcm

Starts from what cpu_medium_crops.py made. Noise as the stand-in for rounding
had taught the synthesis to shrink what is small against its noise: at level 1
IQV was half of QV, where after rounding nothing is small. Fitting IQV alone to
rounded latents (200 steps) gained 2.3 % at the same bytes, 3.2 % at levels 1
to 5.
"""

from sclc_jax.config import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=128, M=192)
  config.stages.base.steps = 0
  config.stages.quantization.steps = 1  # the parts come from init_from
  config.stages.quantization.rounding = "mixed"
  config.stages.selective.steps = 4000
  config.stages.selective.rounding = "mixed"
  config.stages.decoder.steps = 900
  config.optim.lr = 2.5e-4
  config.optim.final_lr_fraction = 0.05
  config.optim.ema_decay = 0.998
  config.train.lmbda_first = 0.00115
  config.train.checkpoint_every = 100
  return config
