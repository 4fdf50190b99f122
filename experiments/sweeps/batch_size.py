"""The learning rate that goes with a batch: pod.py at small width, equal crops.

    sclc sweep batch_size --workdir runs/batch_size --images HELD_OUT \
      --config.data.source folder:PHOTOS

Each point sees the same 16,384 crops of 64x64 in the same order, in batches of
8, 32 or 128, with N=32, M=48, and its learning rate goes through one warm-up
and one cosine. What came of it: experiments/README.md.
"""

from sclc_jax.runs.experiment import call_in_file
from sclc_jax.runs.recipes import sweep_points

CROPS = 16_384
RATES = {
  8: (5e-4, 1e-3, 2e-3, 4e-3),
  32: (1e-3, 2e-3, 4e-3, 8e-3),
  128: (2e-3, 4e-3, 8e-3, 16e-3),
}


def _changes(batch: int, lr: float) -> dict:
  steps = CROPS // batch
  return {
    "model.N": 32,
    "model.M": 48,
    "stages.base.steps": 0,
    "stages.quantization.steps": steps,
    "stages.decoder.steps": 0,
    "optim.lr": lr,
    "optim.warmup_steps": steps // 16,
    "optim.soap_every": 10,
    "optim.ema_decay": 0.0,
    "train.precision": "float32",
    "train.steps_per_dispatch": 1,
    "train.log_every": steps // 16,
    "train.checkpoint_every": steps // 4,
    "data.batch_size": batch,
    "data.crop_size": 64,
    "data.device_resident": False,
  }


def get_sweep():
  pod = call_in_file("pod", "get_config")
  points = {
    f"batch_{batch}_lr_{lr:g}": _changes(batch, lr)
    for batch, rates in RATES.items()
    for lr in rates
  }
  return sweep_points(pod, points)
