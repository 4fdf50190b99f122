"""A fast decoder for a finished model: a shallow synthesis beside its own.

    sclc train --config fast --workdir runs/fast \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/fast --fast-of hyperprior-mse-conditional \
      -o hyperprior-mse-conditional.fast.sclcm

Then `sclc decompress --fast`, where that file lies beside the model's own. The
model stays as it is, bit for bit: the stage trains the shallow synthesis alone,
on latents as the encoder codes them. For another model set `init_from`,
`model.N`, `model.M`, `model.density` and the Lagrange weights to its own.

Cost: 2.5 s a step on two CPU cores, of which latents and the full synthesis are
nearly all: 31 hours. What it loses: docs/results.md, "The fast decoder".

The one that ships had the same loss, optimiser and levels in 45,000 steps, but
from latents and pictures of the full synthesis that were computed once: 847 of
the 1,070 training photographs, a crop of up to 384x384 of each at four levels,
of which a step takes 4 parts of 224x224, two at a level of 1 to 4 and two at
one of 5 to 8, without the error next to the parts' cut edges. It began with the
first synthesis' strongest channels and its last layer by least squares. The
first 8,700 steps learned from the originals alone and had the same kernels at
all levels, with a learning rate of 1e-3 for 1,900 of them.
"""

from sclc_jax.config import default_config_dict


def get_config():
  config = default_config_dict()
  config.init_from = "hyperprior-mse-conditional"
  config.init_parts = "selective"  # selector and all: what the decoder sees
  config.model.N = 192
  config.model.M = 320
  config.model.density = "mixture"
  config.model.conditional = True
  config.model.rate_weight = 0.04

  config.stages.base.steps = 0
  config.stages.fast.steps = 45_000

  config.optim.method = "soap"
  config.optim.lr = 4e-4  # from 1e-3 down to it, level 8 gained 0.9 dB at once
  config.optim.warmup_steps = 50
  config.optim.final_lr_fraction = 0.02
  config.optim.clip_norm = 1.0
  config.optim.ema_decay = 0.998

  # The squared error of a level counts lmbda ** 0.55 times: a decibel alike at
  # all levels.
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.2
  config.train.level_balance = 0.45
  config.train.levels_per_image = 4

  config.data.batch_size = 4
  config.data.crop_size = 256
  return config
