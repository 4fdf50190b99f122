"""What one training stage needs of each device, before there is one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from sclc_jax.config import ExperimentConfig
from sclc_jax.plan import hlo, traffic, work
from sclc_jax.plan.chips import Chip
from sclc_jax.plan.compiled import Compiled, compile_step
from sclc_jax.train import device_data
from sclc_jax.train.stages import Stage
from sclc_jax.train.step import call_shapes, device_share, make_dispatch

# Compiles a batch of so many examples a device.
Try = Callable[[int], "StagePlan"]


@dataclasses.dataclass(frozen=True)
class StagePlan:
  """A stage on given devices; times are the least that they can take.

  Attributes:
    stage: that is planned.
    chips: number of devices.
    share: examples of a batch that each device works on.
    chip: one of the devices.
    peak: operations a second that it can do in the step's precision.
    flops: operations of convolutions and products, a device and step.
    memory: bytes that a device needs.
    fixed: bytes of them that do not grow with the batch.
    limit: bytes that there are.
    operations: of the compiled program, with what each moves; None if it does
      not fit, since the compiler then gives none.
  """

  stage: Stage
  chips: int
  share: int
  chip: Chip
  peak: float
  flops: int
  memory: int
  fixed: int
  limit: float
  operations: list[traffic.Operation] | None

  @property
  def fits(self) -> bool:
    """Whether the memory suffices."""
    return self.operations is not None and self.memory <= self.limit

  @property
  def traffic_bytes(self) -> float | None:
    """Through the main memory, a device and step."""
    return None if self.operations is None else traffic.total(self.operations)

  @property
  def compute_s(self) -> float:
    """Least time of a step for its operations."""
    return self.flops / self.peak

  @property
  def traffic_s(self) -> float | None:
    """Least time of a step for its traffic."""
    moved = self.traffic_bytes
    return None if moved is None else moved / self.chip.bandwidth

  @property
  def step_s(self) -> float | None:
    """Least time of a step."""
    return self.traffic_s and max(self.compute_s, self.traffic_s)

  @property
  def bound(self) -> str | None:
    """What takes the most time: `compute` or `traffic`."""
    if self.traffic_s is None:
      return None
    return "compute" if self.compute_s >= self.traffic_s else "traffic"

  @property
  def images_per_s(self) -> float | None:
    """Of all devices together."""
    return self.step_s and self.share * self.chips / self.step_s

  @property
  def hours(self) -> float | None:
    """Of the whole stage."""
    steps = self.stage.stop - self.stage.start
    return self.step_s and self.step_s * steps / 3600

  @property
  def likely_share(self) -> int:
    """The largest share that fits, if what grows does so with the batch.

    A lower estimate: what is taken to grow may in part be constant.
    """
    each = max(self.memory - self.fixed, 1) / self.share
    return max(int((self.limit - self.fixed) / each), 0)


def plan_stage(
  config: ExperimentConfig,
  stage: Stage,
  devices: tuple,
  chip: Chip,
  pixels: int,
  folder: str | None,
) -> StagePlan:
  """Compiles the step that `sclc train` would run, and reads the program.

  Args:
    config: of the experiment.
    stage: one of its stages.
    devices: of a topology.
    chip: the bounds of one of them.
    pixels: of the training set, where the devices hold it.
    folder: of programs that were compiled before; None keeps none.

  Raises:
    ValueError: the batch does not divide over the devices.
  """
  data, example, cut = (), None, None
  if config.data.device_resident:
    window = round(config.data.crop_size * config.data.max_downscale)
    data = device_data.packed_shapes(max(pixels, window**2), 1)
    cut = device_data.resident(data, config.data.crop_size, window).cut
    example = device_data.ROW
  step = make_dispatch(config, stage, cut, devices)
  shapes = call_shapes(config, stage, len(devices), data, example)
  compiled = compile_step(step, shapes, devices, folder)
  steps = jax.tree.leaves(shapes[2])[0].shape[1]
  return StagePlan(
    stage=stage,
    chips=len(devices),
    share=device_share(config, len(devices)),
    chip=chip,
    peak=chip.peak(config.train.precision),
    flops=work.count(jax.make_jaxpr(step)(*shapes)) // steps,
    memory=compiled.memory,
    fixed=compiled.fixed,
    limit=compiled.limit or chip.memory,
    operations=_operations(compiled, steps),
  )


def _operations(
  compiled: Compiled, steps: int
) -> list[traffic.Operation] | None:
  if not compiled.text:
    return None
  return traffic.operations(hlo.parse(compiled.text), steps)


def with_share(config: ExperimentConfig, share: int, chips: int) -> Any:
  """The config with so many examples a device."""
  data = dataclasses.replace(config.data, batch_size=share * chips)
  return dataclasses.replace(config, data=data)


def largest_share(
  first: StagePlan, attempt: Try, parts: int = 1, tries: int = 3
) -> int:
  """The largest share that was compiled and fits; 0 if none.

  Memory grows in a line with the batch, nearly: each try is where the line
  through the last two meets the limit.

  Args:
    first: a stage as it was planned.
    attempt: compiles the stage with another share.
    parts: of a device's batch (`train.accumulate`), which it divides over.
    tries: how often.
  """
  best = first.share if first.fits else 0
  last = first
  if first.fits:
    share = max(first.likely_share, first.share + parts)
  else:
    share = int(first.share * first.limit / first.memory)
  for _ in range(tries):
    share -= share % parts
    if share <= best:
      break
    new = attempt(share)
    best = max(best, new.share if new.fits else 0)
    slope = (new.memory - last.memory) / (new.share - last.share)
    last = new
    share = new.share + int((new.limit - new.memory) // max(slope, 1))
  return best
