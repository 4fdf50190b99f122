"""What experiments start from: ConfigDicts to replace some fields of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sclc_jax.config import default_config_dict


def _warm_config_dict():
  """Starts with working transforms, tables of high rate and all selected."""
  config = default_config_dict()
  config.model.init = "wavelet"
  config.model.table_init = "geometric"
  config.model.importance_bias = 0.5
  return config


def paper_config_dict():
  """The paper's widths and schedule, for an accelerator.

  Departures: cosine decay within each stage instead of two drops of the
  learning rate, the wavelet start, and QV and IQV kept in the last stage.
  """
  config = _warm_config_dict()
  config.stages.base.steps = 7_000_000
  config.stages.quantization.steps = 1_200_000
  config.stages.selective.steps = 1_200_000
  config.optim.warmup_steps = 1000
  config.optim.final_lr_fraction = 0.04
  config.train.log_every = 500
  config.train.checkpoint_every = 10_000
  return config


def short_config_dict():
  """The paper's widths, for runs much shorter than its own.

  Departures: the wavelet start, one sampled level an image, a density of y
  whose shape is learned, and a higher learning rate of it, of quantizer and of
  selector. The caller sets the steps.
  """
  config = _warm_config_dict()
  config.model.density = "mixture"
  config.optim.added_lr_factor = 10.0
  config.train.levels_per_image = 1
  return config


def gpu_config_dict():
  """Short runs on an accelerator, on crops of 256x256."""
  config = short_config_dict()
  config.optim.clip_norm = 10.0
  config.train.log_every = 100
  config.train.checkpoint_every = 2000
  return config


def quantized_gpu_config_dict(init_from: str):
  """A trained model goes on, all selected, on rounded latents, on one GPU.

  The data lie in its memory, and 20 steps of batch 16 run in a call. The caller
  sets the steps of `quantization`, optimiser, learning rate and lmbda.

  Args:
    init_from: the model, without its selector.
  """
  config = gpu_config_dict()
  config.init_from = init_from
  config.init_parts = "quantized"
  config.model.selective = False
  config.stages.base.steps = 0
  config.stages.quantization.rounding = "mixed"
  config.optim.warmup_steps = 500
  config.optim.final_lr_fraction = 0.02
  config.optim.ema_decay = 0.999
  config.optim.clip_norm = 100.0
  config.train.level_balance = 0.45
  config.train.precision = "bfloat16"
  config.train.steps_per_dispatch = 20
  config.train.log_every = 500
  config.train.checkpoint_every = 20_000
  config.data.batch_size = 16
  config.data.device_resident = True
  return config


def cpu_config_dict(
  N: int, M: int, crop_size: int = 256, batch_size: int = 4
):
  """Short runs of narrow models on a few CPU cores.

  Args:
    N: width of the transforms and of z.
    M: width of y.
    crop_size: side of the crops. In 128 z has no element away from the border,
      which was measured to cost whole photographs some 14 % of the rate.
    batch_size: crops a step.
  """
  config = short_config_dict()
  config.model.N = N
  config.model.M = M
  config.optim.warmup_steps = 20
  config.optim.clip_norm = 100.0
  config.data.crop_size = crop_size
  config.data.batch_size = batch_size
  return config


def decoder_cpu_config_dict(N: int, steps: int):
  """The decoder of a trained model (`init_from`), all selected, M=320.

  It is fitted to latents as the encoder rounds them. The caller sets learning
  rate, EMA and lmbda.

  Args:
    N: width of the transforms and of z.
    steps: of the stage `decoder`.
  """
  config = cpu_config_dict(N=N, M=320)
  config.init_parts = "quantized"
  config.model.selective = False
  config.model.rate_weight = 0.04
  config.stages.base.steps = 0
  config.stages.decoder.steps = steps
  config.optim.method = "soap"
  config.optim.final_lr_fraction = 0.03
  config.train.level_balance = 0.45
  config.train.checkpoint_every = 100
  return config


def sweep_points(config, points: Mapping[str, Mapping[str, Any]]) -> dict:
  """The points of a sweep: a ConfigDict with the changes of each.

  Args:
    config: what the points share.
    points: changes of each point by its name, keyed like `model.base`.
  """
  sweep = {}
  for name, changes in points.items():
    sweep[name] = config.copy_and_resolve_references()
    sweep[name].update_from_flattened_dict(changes)
  return sweep
