"""The decoder of hyperprior_mse.py's model, and its selector: `hyperprior-mse`.

    sclc export --workdir runs/full -o full.sclcm
    sclc train --config experiments/hyperprior_mse_decoder.py \
      --workdir runs/decoder --config.init_from full.sclcm \
      --config.data.source folder:PHOTOS
    sclc export --workdir runs/decoder -o hyperprior-mse.sclcm \
      --fit-selector PHOTOS

What the decoder knows is fitted to latents as the encoder rounds them, in
float32, then the selector to the predicted scales. 600 steps of batch 4, half
an hour on two CPU cores.
"""

from sclc_jax.recipes import decoder_cpu_config_dict


def get_config():
  config = decoder_cpu_config_dict(N=192, steps=600)
  config.init_from = "hyperprior-mse"
  config.seed = 5  # crops of its own
  config.optim.lr = 1e-4
  config.optim.ema_decay = 0.99
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.2
  return config
