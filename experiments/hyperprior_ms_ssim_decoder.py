"""The decoder of hyperprior_ms_ssim.py's model: `hyperprior-ms-ssim`.

    sclc train --config experiments/hyperprior_ms_ssim_decoder.py \
      --workdir runs/decoder --config.init_from runs/ms_ssim \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/decoder -o hyperprior-ms-ssim.sclcm \
      --fit-selector PHOTOS --parent hyperprior-mse

As hyperprior_mse_decoder.py, but the large kernels stay those of
`hyperprior-mse`, whose file the last command refers to. 400 steps of batch 4,
25 minutes on two CPU cores. (The run that shipped had an export in between,
whose power of two in the units of the scales was taken back at the end.)
Kodak: 0.142 bpp at an MS-SSIM of 0.930 to 1.140 at 0.9944.
"""

from sclc_jax.recipes import decoder_cpu_config_dict


def get_config():
  config = decoder_cpu_config_dict(N=192, steps=400)
  config.init_from = "hyperprior-ms-ssim"
  config.seed = 1  # crops of its own
  config.optim.method = "adam"  # of the kernels only small ones are left
  config.optim.lr = 4e-4
  config.optim.ema_decay = 0.98
  config.stages.decoder.parts += ",small"
  config.train.distortion = "ms_ssim"
  return config
