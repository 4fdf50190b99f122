"""What runs of a few steps train on, and what they end with."""

import csv
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import skimage.data

from sclc_jax.config import ExperimentConfig
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.data import make_batches
from sclc_jax.train.logs import SPEED
from sclc_jax.train.stages import stages
from sclc_jax.train.state import restore_state


def batches(step: int) -> Iterator[np.ndarray]:
  """uint8 [2, 64, 64, 3] crops of a photograph and of its mirror image."""
  image = skimage.data.astronaut()[:128, :128]
  return make_batches(
    [image, image[::-1]], crop_size=64, batch_size=2, seed=0, start_step=step
  )


def final(
  workdir: pathlib.Path, config: ExperimentConfig, folder: str = "checkpoints"
) -> tuple[int, dict[str, Any]]:
  """(step, state) of the latest checkpoint, which is of the last stage."""
  checkpoints = Checkpoints(workdir / folder)
  step = checkpoints.latest_step()
  return step, restore_state(checkpoints, step, config, stages(config)[-1])


def logged(workdir: pathlib.Path) -> list[dict[str, str]]:
  """The rows of log.csv without how fast it went."""
  with (workdir / "log.csv").open() as file:
    rows = list(csv.DictReader(file))
  return [{k: v for k, v in row.items() if k not in SPEED} for row in rows]
