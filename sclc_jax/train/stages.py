"""The stages of a training run, as intervals of its steps."""

from __future__ import annotations

import dataclasses

from sclc_jax.config import STAGES, ExperimentConfig


@dataclasses.dataclass(frozen=True)
class Stage:
  """A stretch of steps, [start, stop), counted over all stages."""

  name: str
  start: int
  stop: int


def stages(config: ExperimentConfig) -> list[Stage]:
  """The stages that have steps, in order."""
  with_steps, start = [], 0
  for name in STAGES:
    stop = start + getattr(config.stages, name).steps
    if stop > start:
      with_steps.append(Stage(name, start, stop))
    start = stop
  return with_steps


def stage_at(config: ExperimentConfig, step: int) -> Stage:
  """The stage that made a checkpoint of a step."""
  return next(stage for stage in stages(config) if step <= stage.stop)


def ending(
  config: ExperimentConfig,
  step: int,
  stop_at: int | None = None,
  from_step: int | None = None,
) -> str:
  """How a run has ended, as a line; arguments as of `loop.train`."""
  last = stages(config)[-1].stop
  if step >= last:
    return f"finished: step {step}"
  flags = [
    flag
    for flag, given in (
      ("--stop-at", stop_at is not None and step >= stop_at),
      ("--step", from_step is not None),
    )
    if given
  ]
  without = f"without {' and '.join(flags)} " if flags else ""
  return f"stopped at step {step} of {last}; the same command {without}resumes"
