"""A finished model trained on for MS-SSIM, by its small parameters alone.

    sclc train --config ms_ssim --workdir runs/ms_ssim \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/ms_ssim -o ms_ssim.sclcm \
      --fit-selector PHOTOS --parent hyperprior-mse

Kernels of 2**16 elements and more stay those of `hyperprior-mse`: what is left,
GDN above all, turns the error towards where the eye does not see it, and the
file takes 1.2 MB beside that model. To train all, from scratch: pod.py with
`--config.train.distortion ms_ssim`.

Cost: 40,000 steps took 6 minutes of one NVIDIA H200 and 4 minutes to compile.
Expect, on Kodak, 0.142 bpp at an MS-SSIM of 0.9299 (quality 1) to 1.140 at
0.9944 (quality 8): the shipped `hyperprior-ms-ssim`, whose decoder stage was a
run of its own (401 steps of batch 4 in float32, 25 minutes on two CPU cores).
"""

from sclc_jax.config import DECODER_PARTS, default_config_dict


def get_config():
  config = default_config_dict()
  config.init_from = "hyperprior-mse"
  config.init_parts = "quantized"
  config.model.N = 192
  config.model.M = 320
  config.model.density = "mixture"
  config.model.selective = False  # export fits the selector, in a minute
  config.model.rate_weight = 0.04

  config.stages.base.steps = 0
  config.stages.quantization.steps = 40_000
  config.stages.quantization.parts = "small"
  config.stages.quantization.rounding = "mixed"
  config.stages.decoder.steps = 400
  config.stages.decoder.lr = 4e-4
  config.stages.decoder.parts = f"small,{DECODER_PARTS}"

  config.optim.lr = 1e-3
  config.optim.warmup_steps = 100
  config.optim.final_lr_fraction = 0.02
  config.optim.clip_norm = 100.0
  config.optim.added_lr_factor = 10.0
  config.optim.ema_decay = 0.99

  config.train.distortion = "ms_ssim"  # lmbda 2.4 to 220, geometric
  config.train.precision = "bfloat16"
  config.train.levels_per_image = 1
  config.train.level_balance = 0.45
  config.train.steps_per_dispatch = 20
  config.train.log_every = 500
  config.train.checkpoint_every = 20_000

  config.data.batch_size = 16
  config.data.crop_size = 256  # MS-SSIM needs 192 at least
  config.data.device_resident = True
  return config
