"""The paper's own questions about selection, as one sweep.

    sclc sweep paper_ablation --list
    sclc sweep paper_ablation --workdir runs/ablation --images HELD_OUT \
      --config.data.source folder:PHOTOS

Each point differs in one thing from the first, the paper's model. All start
from the base model of the shipped `cpu-small`, so that what is compared is what
the quantization and selective stages add. Whether unselected elements decode to
their means or to 0 is asked of the Mean-scale base, as the means of Hyperprior
are 0: compare the last two points with each other.

A point takes three minutes on two CPU cores (all levels a step: eight). That
tells which way things go; for conclusions raise the steps. What came of it:
docs/lab_notes.md.
"""

from sclc_jax.config import default_config_dict
from sclc_jax.runs.recipes import sweep_points

MEAN_SCALE = {
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
  "mean_scale": MEAN_SCALE,
  "mean_scale_unselected_zero": {**MEAN_SCALE, "model.unselected": "zero"},
}


def get_sweep():
  config = default_config_dict()
  config.init_from = "cpu-small"
  config.init_parts = "base"
  config.model.N = 64
  config.model.M = 160
  config.model.init = "wavelet"
  config.model.table_init = "geometric"
  config.model.importance_bias = 0.5
  config.stages.base.steps = 0
  config.stages.quantization.steps = 150
  config.stages.selective.steps = 350
  config.optim.lr = 5e-4
  config.optim.warmup_steps = 20
  config.optim.clip_norm = 100.0
  config.optim.added_lr_factor = 10.0
  config.train.levels_per_image = 1
  config.data.batch_size = 8
  config.data.crop_size = 128
  return sweep_points(config, POINTS)
