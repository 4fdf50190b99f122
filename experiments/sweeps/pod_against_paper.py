"""paper.py and pod.py at small width: equal steps and crops, one plot.

    sclc sweep pod_against_paper --workdir runs/recipes --images HELD_OUT \
      --config.data.source folder:PHOTOS

400 steps of batch 8, crops of 128x128, N=32, M=64. `paper` starts as the paper
does; `paper_warm_start` is the same from the wavelet start and with tables of
high rate, since 400 steps are too few for the paper's; `pod` is pod.py. What so
short a run needs is the same in all: learning rate, its factor for what is
added, clipping of gradients. What came of it: experiments/README.md.
"""

from sclc_jax.runs.experiment import call_in_file
from sclc_jax.runs.recipes import sweep_points

SHORT = {
  "model.N": 32,
  "model.M": 64,
  "optim.lr": 1e-3,
  "optim.warmup_steps": 20,
  "optim.added_lr_factor": 10.0,
  "optim.clip_norm": 100.0,
  "train.log_every": 10,
  "train.checkpoint_every": 100,
  "data.batch_size": 8,
  "data.crop_size": 128,
  "data.max_downscale": 2.0,
}
PAPER = {
  **SHORT,
  "stages.base.steps": 280,
  "stages.quantization.steps": 60,
  "stages.selective.steps": 60,
}
WARM_START = {
  **PAPER,
  "model.init": "wavelet",
  "model.table_init": "geometric",
  "model.importance_bias": 0.5,
}
POD = {
  **SHORT,
  "stages.base.steps": 80,
  "stages.quantization.steps": 280,
  "stages.decoder.steps": 40,
  "optim.soap_every": 20,
  "optim.ema_decay": 0.98,
  "train.precision": "float32",
  "train.steps_per_dispatch": 1,
  "data.device_resident": False,
}


def get_sweep():
  paper = call_in_file("paper", "get_config")
  pod = call_in_file("pod", "get_config")
  points = {"paper_warm_start": WARM_START, "paper": PAPER}
  return sweep_points(paper, points) | sweep_points(pod, {"pod": POD})
