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

from sclc_jax.config import cpu_config_dict, sweep_points

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
  config = cpu_config_dict(N=32, M=48)
  config.stages.base.steps = 200
  config.stages.quantization.steps = 100
  config.stages.selective.steps = 200
  config.optim.lr = 1e-3
  return sweep_points(config, POINTS)
