"""The analysis of `cpu-medium` alone trained on, against its decoder.

    sclc train --config experiments/cpu_medium_analysis.py \
      --workdir runs/analysis --config.init_from cpu-medium \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/analysis -o analysis.sclcm

Starts from cpu_medium_balanced.py's model. Its synthesis could show more at
high rates than its analysis finds (docs/results.md, `bench/floor.py`); nothing
but the analysis changes here.
"""

from sclc_jax.recipes import masked_cpu_config_dict


def get_config():
  config = masked_cpu_config_dict(N=160)
  config.seed = 5  # crops of its own
  config.stages.selective.steps = 500
  config.stages.selective.trains = "analysis"
  config.optim.lr = 3e-4
  config.optim.ema_decay = 0.98
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.2
  config.train.level_balance = 0.45
  return config
