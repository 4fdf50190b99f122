"""The base models, each with and without selection, at a small width.

    sclc sweep experiments/sweeps/bases.py --list
    sclc sweep experiments/sweeps/bases.py --workdir runs/bases \
      --images VALIDATION --config.data.source folder:PHOTOS

Same widths (N=32, M=48), data, seed and steps for all; the points differ in
the base alone, in selection, and in what unselected elements decode to. A
point takes minutes on two CPU cores. The paper has Context before Mean-scale
before Hyperprior, and 4 to 5 % for selection on the first two, 1.4 % on
Context; for conclusions raise --config.model.N, .M and the steps.
"""

from sclc_jax.config import BASES, default_config_dict


def get_sweep():
  points = {base: {"model.base": base} for base in BASES}
  for base in BASES:
    changes = {"model.base": base, "model.selective": False}
    points[f"{base}_without_selection"] = changes
  for base in BASES[1:]:
    changes = {"model.base": base, "model.unselected": "zero"}
    points[f"{base}_unselected_zero"] = changes
  sweep = {}
  for name, changes in points.items():
    config = default_config_dict()
    config.model.N = 32
    config.model.M = 48
    config.model.init = "wavelet"
    config.model.table_init = "geometric"
    config.model.importance_bias = 0.5
    config.stages.base.steps = 600
    config.stages.quantization.steps = 200
    config.stages.selective.steps = 400
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
