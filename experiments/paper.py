"""SCR as the paper trains it: three stages, 9.4 million steps.

    sclc train --config paper --workdir runs/paper \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/paper -o paper.sclcm

Other base models: `--config.model.base mean_scale`, `context` or
`checkerboard`.

Cost: not timed. One NVIDIA H200 makes a step of one level in 9 ms (batch 16, in
bfloat16, with SOAP), at which the base stage would take 17 hours; the two other
stages take eight levels a step.
Expect, on Kodak, the paper's curve: 0.152 bpp at 27.96 dB to 1.683 at 40.47
(experiments/results/published). Not run at full length.

Differs from the paper in three points: the learning rate decays by a cosine
within each stage instead of in two drops; every stage keeps all parameters of
the one before (the authors' code starts QV and IQV anew in the last); and a
step is skipped where any gradient is not finite, not only the first one.
"""

from sclc_jax.config import default_config_dict


def get_config():
  config = default_config_dict()
  config.model.base = "hyperprior"
  config.model.N = 192
  config.model.M = 320
  config.model.init = "xavier"
  config.model.table_init = "ones"

  config.stages.base.steps = 7_000_000
  config.stages.quantization.steps = 1_200_000
  config.stages.selective.steps = 1_200_000

  config.optim.method = "adam"
  config.optim.lr = 5e-5
  config.optim.final_lr_fraction = 0.04  # 2e-6, where the paper ends

  config.train.lmbda_first = 0.0015625
  config.train.lmbda_last = 0.2
  config.train.levels_per_image = 0  # all eight in each step
  config.train.log_every = 500
  config.train.checkpoint_every = 10_000

  config.data.batch_size = 8
  config.data.crop_size = 256
  config.data.max_downscale = 1.0
  return config
