"""The base models, each with and without selection, trained alike.

    sclc sweep bases --list
    sclc sweep bases --workdir runs/bases --images HELD_OUT \
      --config.data.source folder:PHOTOS

All start from the transforms of the shipped `cpu-small`; everything that
estimates rates starts anew. A point takes four minutes on two CPU cores. What
came of it: docs/lab_notes.md. The points `mean_scale` and `context` are the
shipped `cpu-small-mean-scale` and `cpu-small-context`.
"""

from sclc_jax.config import default_config_dict
from sclc_jax.runs.recipes import sweep_points

# The hyper analysis reads y and |y|: with y alone, as in the paper, it needs
# far more steps than these to tell scales.
MEAN_SCALE = {"model.base": "mean_scale", "model.hyper_input": "both"}
CONTEXT = {"model.base": "context", "model.hyper_input": "both"}
CHECKERBOARD = {"model.base": "checkerboard", "model.hyper_input": "both"}
ALL = {"model.selective": False}  # everything selected
POINTS = {
  "hyperprior": {},
  "mean_scale": MEAN_SCALE,
  "context": CONTEXT,
  "checkerboard": CHECKERBOARD,
  "hyperprior_without_selection": ALL,
  "mean_scale_without_selection": {**MEAN_SCALE, **ALL},
  "context_without_selection": {**CONTEXT, **ALL},
  "checkerboard_without_selection": {**CHECKERBOARD, **ALL},
}


def get_sweep():
  config = default_config_dict()
  config.init_from = "cpu-small"
  config.init_parts = "transforms"
  config.model.N = 64
  config.model.M = 160
  config.model.init = "wavelet"
  config.model.table_init = "geometric"
  config.model.importance_bias = 0.5
  config.stages.base.steps = 0
  config.stages.quantization.steps = 800
  config.stages.selective.steps = 300
  config.stages.selective.lr = 1e-4
  config.optim.lr = 1e-3
  config.optim.warmup_steps = 20
  config.optim.clip_norm = 100.0
  config.optim.added_lr_factor = 10.0
  config.train.levels_per_image = 1
  config.data.batch_size = 8
  config.data.crop_size = 128
  return sweep_points(config, POINTS)
