"""The medium model with its dead channels revived, and a little wider.

    sclc train --config experiments/cpu_medium_revived.py \
      --workdir runs/revived --config.data.source folder:PHOTOS
    sclc export --workdir runs/revived -o revived.sclcm

116 of the 320 channels of y of cpu_medium_masked.py's model are always 0. They
start again as a transform of the residual that it leaves
(sclc_jax/train/revive.py), by way of the 32 hidden channels that N=160 adds:
without rounding, the squared error of 48 training crops falls from 14.2 to 9.9.
All but the selector then trains on under the masks of inference, and a decoder
stage follows: 53 minutes.

Kodak, 12 qualities: 0.167 bpp at 27.51 dB to 1.765 at 39.09, against the model
that it started from -0.5 % in BD-rate by PSNR and +3.2 % by MS-SSIM. It gains
0.56 dB at 1.54 bpp and loses up to 0.04 dB below 0.8 bpp
(experiments/results/kodak_cpu_medium_revived.csv, cpu_medium_revived_log.csv);
cpu_medium_balanced.py goes on from it. Three times the steps at N=192 without
revival ended at 37.82 dB and 1.577 bpp (hyperprior_mse_cpu.py).
"""

from sclc_jax.recipes import masked_cpu_config_dict


def get_config():
  config = masked_cpu_config_dict(N=160)
  config.init_from = "masked.sclcm"
  config.init_revive = True
  config.stages.selective.steps = 1150
  config.stages.decoder.steps = 350
  config.stages.decoder.lr = 1e-4
  config.optim.lr = 1.5e-4
  config.optim.ema_decay = 0.995
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.2
  return config
