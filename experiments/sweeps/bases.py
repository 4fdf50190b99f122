"""The base models, each with and without selection, trained alike.

    sclc sweep experiments/sweeps/bases.py --list
    sclc sweep experiments/sweeps/bases.py --workdir runs/bases \
      --images VALIDATION --config.data.source folder:PHOTOS

All start from the trained transforms of cpu-small; all that estimates rates
starts anew. Same data, seed and steps; the points differ in the base and in
selection alone. A point takes four minutes on two CPU cores. The paper has
Context before Mean-scale before Hyperprior, and 4 to 5 % for selection on the
last two, 1.4 % on Context. The signed hyper analysis of the paper learns to
tell magnitudes in far more steps than these, hence `hyper_input`.
"""

from sclc_jax.config import BASES
from sclc_jax.recipes import cpu_config_dict, sweep_points


def get_sweep():
  points = {base: {"model.base": base} for base in BASES}
  for base in BASES[1:]:
    points[base]["model.hyper_input"] = "both"
  for base in BASES:
    changes = {**points[base], "model.selective": False}
    points[f"{base}_without_selection"] = changes
  config = cpu_config_dict(N=64, M=160, crop_size=128, batch_size=8)
  config.model.density = "normal"
  config.init_from = "cpu-small"
  config.init_parts = "transforms"
  config.stages.base.steps = 0
  config.stages.quantization.steps = 800
  config.stages.selective.steps = 300
  config.stages.selective.lr = 1e-4
  config.optim.lr = 1e-3
  return sweep_points(config, points)
