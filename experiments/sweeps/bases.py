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

from sclc_jax.config import BASES, cpu_config_dict, sweep_points


def get_sweep():
  points = {base: {"model.base": base} for base in BASES}
  for base in BASES:
    changes = {"model.base": base, "model.selective": False}
    points[f"{base}_without_selection"] = changes
  for base in BASES[1:]:
    changes = {"model.base": base, "model.unselected": "zero"}
    points[f"{base}_unselected_zero"] = changes
  config = cpu_config_dict(N=32, M=48)
  config.stages.base.steps = 600
  config.stages.quantization.steps = 200
  config.stages.selective.steps = 400
  config.optim.lr = 1e-3
  return sweep_points(config, points)
