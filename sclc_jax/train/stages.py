"""The stretches of steps that a training run consists of."""

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
  found, start = [], 0
  for name in STAGES:
    stop = start + getattr(config.stages, name).steps
    if stop > start:
      found.append(Stage(name, start, stop))
    start = stop
  return found
