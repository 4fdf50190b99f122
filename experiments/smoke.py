"""A tiny model through all stages, about a minute on a laptop.

    sclc train --config smoke --workdir runs/smoke \
      --config.data.source folder:PHOTOS

It shows that everything runs; expect nothing of its pictures.
"""

from sclc_jax.config import default_config_dict


def get_config():
  config = default_config_dict()
  config.model.N = 8
  config.model.M = 12
  config.model.init = "wavelet"
  config.model.table_init = "geometric"
  config.model.importance_bias = 0.45
  config.model.density = "mixture"

  config.stages.base.steps = 10
  config.stages.quantization.steps = 5
  config.stages.selective.steps = 5
  config.stages.decoder.steps = 5

  config.optim.lr = 1e-3
  config.optim.added_lr_factor = 10.0

  config.train.levels_per_image = 1
  config.train.log_every = 1
  config.train.checkpoint_every = 5

  config.data.batch_size = 4
  config.data.crop_size = 64
  return config
