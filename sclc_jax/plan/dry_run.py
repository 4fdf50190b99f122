"""What `sclc train` would do, told without doing it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from sclc_jax.buckets import to_path
from sclc_jax.config import ExperimentConfig, stage_model
from sclc_jax.files import absolute, is_folder, is_there, open_text
from sclc_jax.models.variable_rate import params_shapes
from sclc_jax.train.checkpoint import Checkpoints, open_checkpoint
from sclc_jax.train.optim import split
from sclc_jax.train.resume import going_on
from sclc_jax.train.stages import Stage, stages
from sclc_jax.train.step import device_share


def describe(
  config: ExperimentConfig, images: Sequence, workdir: str, step: int
) -> Iterator[str]:
  """Lines on the model, the data, the stages and the workdir.

  Args:
    config: of the run.
    images: that it would train on.
    workdir: of the run.
    step: that it would go on from, as of `begins_at`.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  yield _model(config)
  if config.init_from:
    yield f"starts from: {config.init_from} ({config.init_parts})"
  yield f"data: {config.data.source}, {len(images):,} images"
  devices, data = jax.devices(), config.data
  share = device_share(config, len(devices))
  yield (
    f"batch: {data.batch_size} crops of {data.crop_size}x{data.crop_size}, "
    f"{share} on each of {len(devices)} x {devices[0].device_kind}"
  )
  for stage in stages(config):
    yield _stage(config, stage)
  last = stages(config)[-1].stop
  if step >= last:
    yield f"workdir: {workdir}, finished: step {step:,}"
  elif step:
    yield f"workdir: {workdir}, resumes from step {step:,} of {last:,}"
    yield from _time_left(config, workdir, last - step)
  else:
    yield f"workdir: {workdir}, a new run of {last:,} steps"


def _model(config: ExperimentConfig) -> str:
  shapes = params_shapes(stage_model(config, stages(config)[-1].name))
  parts = shapes["base"] | {k: v for k, v in shapes.items() if k != "base"}
  counts = {name: _count(part) for name, part in parts.items()}
  model, total = config.model, sum(counts.values())
  texts = (
    f"{name} {count:,}"
    for name, count in sorted(counts.items(), key=lambda item: -item[1])
  )
  return (
    f"model: {model.base}, N={model.N}, M={model.M}, {total:,} parameters: "
    f"{', '.join(texts)}"
  )


def _count(tree: Any) -> int:
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _stage(config: ExperimentConfig, stage: Stage) -> str:
  trained = split(config, stage, params_shapes(stage_model(config, stage.name)))
  return (
    f"stage {stage.name}: {stage.stop - stage.start:,} steps, to step "
    f"{stage.stop:,}; trains {_count(trained[0]):,} parameters"
  )


def _time_left(
  config: ExperimentConfig, workdir: str, steps: int
) -> Iterator[str]:
  """By the last speed in the log, if it has one."""
  log = to_path(workdir) / "log.csv"
  if not is_there(log):
    return
  with open_text(log) as file:
    rates = [row.get("images_per_s") for row in csv.DictReader(file)]
  known = [float(rate) for rate in rates if rate]
  if known:
    hours = steps * config.data.batch_size / known[-1] / 3600
    yield (
      f"time left: {hours:.3g} hours at {known[-1]:.4g} images/s, the last "
      "speed in log.csv"
    )


def begins_at(
  config: ExperimentConfig, workdir: str, wanted: int | None
) -> tuple[int, list[str]]:
  """As `resume.reached`, but nothing is removed or set aside."""
  workdir = absolute(workdir)
  folder = workdir / "checkpoints"
  if wanted is None and not is_folder(folder):
    return 0, []
  if wanted is None:
    checkpoints = Checkpoints(folder)
    step = checkpoints.choose(None)
  else:
    checkpoints, step = open_checkpoint(workdir, wanted)
  remarks = []
  if step is not None:
    remarks = going_on(checkpoints, config, workdir, step)
  checkpoints.close()
  return step or 0, remarks
