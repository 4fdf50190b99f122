"""The paper's own questions about selection, as one sweep.

    sclc sweep experiments/sweeps/paper_ablation.py --list
    sclc sweep experiments/sweeps/paper_ablation.py --workdir runs/ablation \
      --images VALIDATION --config.data.source folder:PHOTOS

The points differ in one thing each from the first, the paper's model (the last
from the one before it). All
start from the same seed, so the base stage is the same run for each. At this
width (N=32, M=48) and length it takes minutes a point on two CPU cores, and
tells whether things work; for conclusions raise --config.model.N, .M and the
steps. Whether unselected elements decode to 0 or to their means is asked on the
Mean-scale base: those of the Hyperprior have the mean 0.
"""

from sclc_jax.config import default_config_dict

POINTS = {
  "paper": {},
  "without_selection": {"model.selective": False},
  "without_curves": {"model.curves": "none"},
  "one_curve_for_all_channels": {"model.curves": "shared"},
  "shared_qv_iqv": {"model.iqv": "shared"},
  "all_levels_a_step": {"train.levels_per_image": 0},
  "mean_scale": {"model.base": "mean_scale"},
  "mean_scale_unselected_zero": {
    "model.base": "mean_scale",
    "model.unselected": "zero",
  },
}


def get_sweep():
  sweep = {}
  for name, changes in POINTS.items():
    config = default_config_dict()
    config.model.N = 32
    config.model.M = 48
    config.model.init = "wavelet"
    config.model.table_init = "geometric"
    config.model.importance_bias = 0.5
    config.stages.base.steps = 200
    config.stages.quantization.steps = 100
    config.stages.selective.steps = 200
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 20
    config.optim.clip_norm = 100.0
    config.optim.added_lr_factor = 10.0
    config.train.levels_per_image = 1
    config.train.log_every = 50
    config.data.crop_size = 128
    config.update_from_flattened_dict(changes)
    sweep[name] = config
  return sweep
