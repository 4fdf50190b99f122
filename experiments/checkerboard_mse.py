"""SCR on the Checkerboard base, MSE, at the paper's widths and schedule.

    sclc train --config experiments/checkerboard_mse.py --workdir runs/board \
      --config.data.source folder:PHOTOS

Untried at this length so far. The paper does not have this base; half of
the positions are coded without context, so expect a rate between Mean-scale's
and Context's.
Elements that are not selected decode to their means, which the paper leaves
open; `--config.model.unselected zero` is the other choice.
"""

from sclc_jax.recipes import paper_config_dict


def get_config():
  config = paper_config_dict()
  config.model.base = "checkerboard"
  return config
