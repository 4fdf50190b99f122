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

from sclc_jax.recipes import gpu_config_dict


def get_config():
  config = gpu_config_dict()
  config.stages.base.steps = 200_000
  config.stages.quantization.steps = 50_000
  config.stages.selective.steps = 100_000
  config.optim.lr = 1e-4
  config.optim.warmup_steps = 500
  config.train.distortion = "ms_ssim"
  return config
