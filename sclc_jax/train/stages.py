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
