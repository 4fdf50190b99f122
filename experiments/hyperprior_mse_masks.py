"""What masks save where the model has trained under them, on two CPU cores.

    sclc export --model hyperprior-mse --fit-selector PHOTOS \
      --improbable 0.01 -o masks.sclcm
    sclc train --config experiments/hyperprior_mse_masks.py \
      --workdir runs/masks --config.data.source folder:PHOTOS
    sclc train --config experiments/hyperprior_mse_masks.py \
      --workdir runs/all --config.data.source folder:PHOTOS \
      --config.init_from hyperprior-mse --config.init_parts quantized \
      --config.model.selective False --config.stages.quantization.steps 251 \
      --config.stages.selective.steps 0

The first run trains all but the selector under masks that leave out what
rounds to another number than zero with a probability below 0.01, the second
one, on the same crops, without masks. Both round to the nearest, as the
paper's encoder does. Then `sclc export` of both, and `sclc evaluate --images
HELD_OUT --model MASKS --compare ALL`; docs/results.md, "What selection gives",
has what came of it. Each takes 15 minutes.
"""

from sclc_jax.recipes import masked_cpu_config_dict


def get_config():
  config = masked_cpu_config_dict(N=192)
  config.seed = 5
  config.init_from = "masks.sclcm"
  config.model.mask_threshold = 0.5
  config.model.rate_weight = 0.0
  config.stages.selective.steps = 250
  config.optim.lr = 1e-4
  config.optim.ema_decay = 0.98
  config.train.level_balance = 0.45
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.2
  return config
