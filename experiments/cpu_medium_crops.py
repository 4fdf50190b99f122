"""The medium model on crops of 256x256, on the way to `cpu-medium`.

    sclc train --config experiments/cpu_medium_crops.py --workdir runs/crops \
      --config.init_from more.sclcm --config.data.source folder:PHOTOS \
      --config.data.validation folder:HELD_OUT

Starts from what cpu_medium_more.py made on crops of 128, in which z has 2x2
elements and every one lies at the border. On whole photographs that cost some
14 % of the rate: of two continuations for 200 s at equal pixels a step, eight
crops of 128 (390 steps) or two of 256 (390), the second needs 12 to 16 % fewer
bits at the same PSNR on 12 held-out photographs; four crops of 256 in half as
many steps do as well (0.4 % less loss). What selection gives is measured
against a run trained alike from the same point:

    sclc train ... --workdir runs/crops --stop-at 2200
    sclc export --workdir runs/crops -o fork.sclcm
    sclc train ... --workdir runs/without --config.init_from fork.sclcm \
      --config.stages.quantization.steps 900 --config.stages.selective.steps 0 \
      --config.stages.quantization.lr 2e-4
"""

from sclc_jax.recipes import cpu_config_dict


def get_config():
  config = cpu_config_dict(N=128, M=192)
  config.model.density = "normal"
  config.stages.base.steps = 0
  config.stages.quantization.steps = 2200
  config.stages.selective.steps = 900
  config.stages.selective.lr = 2e-4
  config.optim.lr = 3e-4
  config.optim.ema_decay = 0.998
  config.train.lmbda_first = 0.00075
  config.train.lmbda_last = 0.096
  config.train.checkpoint_every = 100
  config.train.validate_every = 500
  return config
