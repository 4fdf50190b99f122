"""A small model: a quarter of an hour on two slow CPU cores.

    sclc train --config experiments/cpu_small.py --workdir runs/cpu_small \
      --config.data.source folder:PHOTOS

The shipped `cpu-small` was trained with data.crop_size=128, data.batch_size=8,
model.density='normal' and no decoder stage.

Departures from the paper's schedule, all for lack of compute: narrow widths,
four crops a step, one sampled level an image, a wavelet start of the
transforms, hundreds of steps in all, and a cosine decay within each stage.
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=64, M=160)
  config.model.importance_bias = 0.45
  config.stages.base.steps = 450
  config.stages.quantization.steps = 100
  config.stages.selective.steps = 200
  config.stages.decoder.steps = 100
  config.optim.lr = 5e-4
  config.train.log_every = 25
  config.train.checkpoint_every = 100
  return config
