"""More steps for the medium model, on the way to `cpu-medium`.

    sclc train --config experiments/cpu_medium_more.py --workdir runs/more \
      --config.init_from tune_2.sclcm --config.data.source folder:PHOTOS

Starts from what cpu_medium.py and the runs of cpu_medium_tune.py made; its
selector waits while the quantization stage goes on without it. What selection
gives is measured against a run trained alike from the same point:

    sclc train ... --workdir runs/more --stop-at 800
    sclc export --workdir runs/more -o fork.sclcm
    sclc train ... --workdir runs/without --config.init_from fork.sclcm \
      --config.stages.quantization.steps 700 --config.stages.selective.steps 0
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=128, M=192, crop_size=128, batch_size=8)
  config.model.density = "normal"
  config.stages.base.steps = 0
  config.stages.quantization.steps = 800
  config.stages.selective.steps = 700
  config.optim.lr = 2e-4
  config.optim.ema_decay = 0.995
  config.train.lmbda_first = 0.00075
  config.train.lmbda_last = 0.096
  config.train.checkpoint_every = 100
  return config
