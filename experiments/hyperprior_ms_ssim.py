"""`hyperprior-mse` for MS-SSIM, by its small parameters alone.

    sclc train --config experiments/hyperprior_ms_ssim.py \
      --workdir runs/ms_ssim --config.data.source folder:PHOTOS

Then the decoder (hyperprior_ms_ssim_decoder.py, which has the other commands).
"""

from sclc_jax.recipes import quantized_gpu_config_dict


def get_config():
  config = quantized_gpu_config_dict(init_from="hyperprior-mse")
  config.stages.quantization.steps = 40_000
  config.optim.lr = 1e-3
  config.optim.fix_large_kernels = True
  config.train.distortion = "ms_ssim"
  return config
