"""SCR on Hyperprior for MS-SSIM, at the paper's widths.

    sclc train --config experiments/hyperprior_ms_ssim.py \
      --workdir runs/ms_ssim --config.data.source folder:PHOTOS

The loss is lmbda * (1 - MS-SSIM) + bpp with lmbda from 2.40 at level 1 to 220
at level 8, geometric; the authors' are not published. Crops of 256, as five
scales of an 11-pixel window need 161 pixels. Not trained so far: expect the
paper's curve (on Kodak 0.21 bpp at an MS-SSIM of 0.9606 to 1.82 bpp at
0.9978) after schedules of its length, and less after this one. For a try on a
CPU lower --config.model.N, --config.model.M and the steps; --config.init_from
with a model trained for MSE saves most of the base stage.

Departures from the paper's schedule, for lack of compute: fewer steps, one
sampled level an image, a wavelet start of the transforms, warm-up, and a
cosine decay within each stage.
"""

from sclc_jax.config import default_config_dict


def get_config():
  config = default_config_dict()
  config.model.N = 192
  config.model.M = 320
  config.model.init = "wavelet"
  config.model.importance_bias = 0.5
  config.model.table_init = "geometric"
  config.stages.base.steps = 200_000
  config.stages.quantization.steps = 50_000
  config.stages.selective.steps = 100_000
  config.optim.lr = 1e-4
  config.optim.warmup_steps = 500
  config.optim.clip_norm = 10.0
  config.optim.added_lr_factor = 10.0
  config.train.distortion = "ms_ssim"
  config.train.levels_per_image = 1
  config.train.log_every = 100
  config.train.checkpoint_every = 2000
  config.data.batch_size = 8
  config.data.crop_size = 256
  return config
