"""The paper's own questions about selection, as one sweep.

    sclc sweep experiments/sweeps/paper_ablation.py --list
    sclc sweep experiments/sweeps/paper_ablation.py --workdir runs/ablation \
      --images VALIDATION --config.data.source folder:PHOTOS

The points differ in one thing each from the first, the paper's model; they
start from the base model of cpu-small, so that what is compared is what stages
2 and 3 add. A point takes three minutes on two CPU cores (all levels a step:
eight), and tells which way things go; for conclusions raise the steps. Whether
unselected elements decode to 0 or to their means is asked on the Mean-scale
base, on the transforms of cpu-small, since the means of Hyperprior are 0: these
two are compared with each other.
"""

from sclc_jax.recipes import cpu_config_dict, sweep_points

_MEAN_SCALE = {
  "model.base": "mean_scale",
  "model.hyper_input": "both",
  "init_parts": "transforms",
}
POINTS = {
  "paper": {},
  "without_selection": {"model.selective": False},
  "without_curves": {"model.curves": "none"},
  "one_curve_for_all_channels": {"model.curves": "shared"},
  "shared_qv_iqv": {"model.iqv": "shared"},
  "all_levels_a_step": {"train.levels_per_image": 0},
  "mean_scale": _MEAN_SCALE,
  "mean_scale_unselected_zero": {**_MEAN_SCALE, "model.unselected": "zero"},
}


def get_sweep():
  config = cpu_config_dict(N=64, M=160, crop_size=128, batch_size=8)
  config.model.density = "normal"
  config.init_from = "cpu-small"
  config.init_parts = "base"
  config.stages.base.steps = 0
  config.stages.quantization.steps = 150
  config.stages.selective.steps = 350
  config.optim.lr = 5e-4
  return sweep_points(config, POINTS)
