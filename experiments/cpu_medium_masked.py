"""The wide medium model under its masks: on the way to `cpu-medium`.

    sclc train --config experiments/cpu_medium_masked.py \
      --workdir runs/masked --config.init_from selector.sclcm \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/masked -o masked.sclcm

Starts from what cpu_medium_selector.py made, averaged parameters. All but the
selector goes on with the masks that will be coded, then the decoder is fitted
to what it will see. lmbda is a fifth higher than before, for a range of rates
of 0.17 to 1.6 bpp.
"""

from sclc_jax.recipes import masked_cpu_config_dict


def get_config():
  config = masked_cpu_config_dict(N=128)
  config.stages.selective.steps = 5600
  config.stages.decoder.steps = 1300
  config.stages.decoder.lr = 1.5e-4
  config.optim.lr = 3e-4
  config.optim.ema_decay = 0.998
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.17536
  return config
