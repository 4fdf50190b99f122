"""The paper's widths on two CPU cores: what `hyperprior-mse` ships.

    sclc train --config experiments/hyperprior_mse_cpu.py --workdir runs/full \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/full -o hyperprior-mse.sclcm

Starts from `cpu-medium` (N=128, M=320), which goes on inside the wider model
(sclc_jax/train/transfer.py), and ends with a decoder fitted to what it will
see. The Lagrange weights grow by 2.04 with each level, for rates of 0.17 to
1.6 bpp; doubling, `cpu-medium` has 0.17 to 1.54.
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=192, M=320)
  config.init_from = "cpu-medium"
  config.model.mask_threshold = 0.3
  config.model.rate_weight = 0.04
  config.stages.base.steps = 0
  config.stages.quantization.steps = 1  # its parts come from init_from
  config.stages.quantization.rounding = "mixed"
  config.stages.selective.steps = 3500
  config.stages.selective.rounding = "mixed"
  config.stages.selective.mask = "inference"
  config.stages.decoder.steps = 900
  config.stages.decoder.lr = 1.5e-4
  config.optim.method = "soap"
  config.optim.lr = 3e-4
  config.optim.final_lr_fraction = 0.03
  config.optim.ema_decay = 0.998
  config.train.lmbda_first = 0.00135
  config.train.lmbda_last = 0.2
  config.train.checkpoint_every = 100
  return config
