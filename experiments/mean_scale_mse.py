"""SCR on the Mean-scale base, MSE, at the paper's widths and schedule.

    sclc train --config experiments/mean_scale_mse.py --workdir runs/mean \
      --config.data.source folder:PHOTOS

Untried at this length so far. The paper's figures on Kodak have about 7 %
less rate than the Hyperprior base's at the same PSNR.
Elements that are not selected decode to their means, which the paper leaves
open; `--config.model.unselected zero` is the other choice.
"""

from sclc_jax.recipes import paper_config_dict


def get_config():
  config = paper_config_dict()
  config.model.base = "mean_scale"
  return config
