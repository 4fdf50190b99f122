from sclc_jax.recipes import masked_cpu_config_dict


def get_config():
  config = masked_cpu_config_dict(N=160)
  config.seed = 4  # crops of its own
  config.stages.selective.steps = 900
  config.stages.selective.mask = "drawn"
  config.stages.selective.error = "latents"
  config.stages.selective.lr = 5e-4
  config.stages.decoder.steps = 200
  config.stages.decoder.lr = 1.5e-4
  config.optim.added_lr_factor = 1.0
  config.optim.ema_decay = 0.995
  config.train.levels_per_image = 2
  config.train.lmbda_first = 0.00137
  config.train.lmbda_last = 0.2
  config.train.level_balance = 0.45
  return config
