"""One loop for all stages: steps, reports, checkpoints, and how a run ends.

A stage is data: the parts that are built, the parts that train, the levels, the
number of steps. A resumed run continues as an unbroken one would have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from sclc_jax.config import ExperimentConfig, stage_model
from sclc_jax.files import absolute
from sclc_jax.train import parallel
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.logs import TrainingLog
from sclc_jax.train.pictures import Pictures
from sclc_jax.train.profile import Profile
from sclc_jax.train.profile import check as check_profile
from sclc_jax.train.progress import Bar, say
from sclc_jax.train.reports import Reports
from sclc_jax.train.resume import reached
from sclc_jax.train.stages import Stage, ending, stages
from sclc_jax.train.state import (
  new_state,
  pack_state,
  restore_state,
  trained_params,
  unpack_state,
)
from sclc_jax.train.step import Resident, device_share, make_dispatch
from sclc_jax.train.stopping import Stop
from sclc_jax.train.validation import Validation, Validator

Batches = Callable[[int], Iterator[np.ndarray]]


def train(
  config: ExperimentConfig,
  workdir: str | os.PathLike,
  batches: Batches,
  *,
  stop_at: int | None = None,
  from_step: int | None = None,
  initial_params: Callable[[], Any] | None = None,
  about: Callable[[], dict[str, Any]] | None = None,
  resident: Resident | None = None,
  validator: Validator | None = None,
  pictures: Pictures | None = None,
  profile: range | None = None,
  quiet: bool = False,
) -> int:
  """Trains, or resumes what `workdir` holds, through all stages.

  Args:
    config: of the experiment; for a run being resumed see `resume`.
    workdir: of checkpoints, best, log.csv, validation.csv and tensorboard.
    batches: gives the uint8 [B, crop, crop, 3] batches from a step on, or what
      `resident` makes them from.
    stop_at: saves and ends at this step (counted over all stages), or at the
      end of the call of `train.steps_per_dispatch` steps that it lies in.
    from_step: the checkpoint to resume from; later ones are set aside. The
      latest if None.
    initial_params: gives the parameters that the first stage starts from;
      not called where none is left to start.
    about: gives what the checkpoints of a new run say beside its config, for
      `runs.provenance`; a resumed run keeps what they say.
    resident: data in device memory.
    validator: called every `train.validate_every` steps and at the end of each
      stage, by the first process.
    pictures: what is shown in TensorBoard at the same steps, or at the end of
      each stage alone where nothing validates.
    profile: the steps to trace, by the first process.
    quiet: no progress bar.

  Returns:
    The step reached.

  Raises:
    ValueError: what is there cannot be resumed, or the run has diverged.
    KeyboardInterrupt: Ctrl-C has ended the run before its last step; its state
      is saved.
  """
  workdir = absolute(workdir)
  plan = stages(config)
  checkpoints = Checkpoints(workdir / "checkpoints")
  step, lines = reached(checkpoints, config, workdir, from_step)
  for line in lines:
    say(line)
  device_share(config, jax.device_count())  # a ValueError where it is uneven
  examples = parallel.local_examples(config.data.batch_size)
  last = min(plan[-1].stop, stop_at or plan[-1].stop)
  check_profile(profile, step, last)
  # A later stage takes its parts from there too, where they are.
  begins = initial_params is not None and step <= plan[-1].start and step < last
  params = carried = (initial_params() or {}) if begins else {}
  workdir.mkdir(parents=True, exist_ok=True)
  stream = batches(step) if step < last else iter(())
  meta = checkpoints.meta(step) if step else (about or dict)()
  meta = meta | {"config": dataclasses.asdict(config)}
  run = _open_run(
    config, workdir, step, stream, examples, checkpoints, meta, resident,
    validator, pictures, profile, quiet, from_step,
  )  # fmt: skip
  stopping = False
  try:
    for stage in plan:
      if step >= last or stopping:
        break
      if step > stage.stop:
        continue
      if step > stage.start:
        state = restore_state(checkpoints, step, config, stage)
      else:
        state = new_state(config, stage, params)
      if step < stage.stop:
        until = min(last, stage.stop)
        state, step, stopping = _run_stage(run, stage, state, step, until)
      params = carried | state["params"]  # what the next stage starts from
  finally:
    run.close()
  if run.stop.interrupted and step < plan[-1].stop:
    raise KeyboardInterrupt(ending(config, step, stop_at, from_step))
  return step


@dataclasses.dataclass(frozen=True)
class _Run:
  """What the stages of one run share."""

  config: ExperimentConfig
  stream: Iterator[np.ndarray]
  examples: range
  resident: Resident | None
  data: Any
  checkpoints: Checkpoints
  meta: dict
  log: TrainingLog | None  # of the first process
  validation: Validation | None
  pictures: Pictures | None
  profile: Profile
  bar: Bar
  stop: Stop

  def close(self) -> None:
    """Waits for the checkpoints, and gives back what was taken."""
    self.profile.close()
    self.checkpoints.close()
    if self.validation is not None:
      self.validation.close()
    if self.log is not None:
      self.log.close()
    self.bar.close()
    self.stop.close()

  def is_watched(self, stage: Stage, step: int) -> bool:
    """Whether validation or pictures are due."""
    if self.validation is None and self.pictures is None:
      return False
    every = self.config.train.validate_every
    return step == stage.stop or (every > 0 and step % every == 0)

  def watch(self, stage: Stage, step: int, state: dict[str, Any]) -> None:
    """Validates, keeps the best state, and shows pictures."""
    host = self._on_host(stage, state)
    params = trained_params(host)
    if self.validation is not None:
      self.validation(stage.name, step, host, params, self.meta, self.log)
    if self.pictures is not None and self.log is not None:
      views = self.pictures.views(stage_model(self.config, stage.name), params)
      if views:
        self.log.write_pictures(step, self.pictures.crops, views)

  def _on_host(self, stage: Stage, state: dict[str, Any]) -> dict[str, Any]:
    host = unpack_state(self.config, stage, parallel.unreplicate(state))
    return jax.tree.map(np.asarray, host)

  def save(
    self, stage: Stage, step: int, state: dict[str, Any]
  ) -> dict[str, Any]:
    """Saves the state; returns it, on the host."""
    host = self._on_host(stage, state)
    if self.log is not None:
      self.log.push()
    self.checkpoints.save(step, host, self.meta)
    return host


def _open_run(
  config, workdir, step, stream, examples, checkpoints, meta, resident,
  validator, pictures, profile, quiet, from_step,
) -> _Run:  # fmt: skip
  """Opens the logs and the progress bar; the other arguments are `train`'s."""
  first = parallel.is_first_process()
  log = None
  if first:
    log = TrainingLog(workdir, config, step, validator is not None)
  validation = None
  if validator is not None:
    start = None if from_step is None else step
    validation = Validation(config, workdir, validator, start)
  bar = Bar(
    total=stages(config)[-1].stop, initial=step, unit="step",
    disable=quiet or not first, file=sys.stderr,
  )  # fmt: skip
  return _Run(
    config=config,
    stream=stream,
    examples=examples,
    resident=resident,
    data=parallel.replicate(resident.data) if resident else (),
    checkpoints=checkpoints,
    meta=meta,
    log=log,
    validation=validation,
    pictures=pictures,
    profile=Profile(
      profile or range(0),
      log.board_folder if first else None,
      f"{workdir}/tensorboard",
    ),
    bar=bar,
    stop=Stop(),
  )


def _run_stage(
  run: _Run, stage: Stage, state: dict[str, Any], step: int, until: int
) -> tuple[dict[str, Any], int, bool]:
  """Trains from `step` to `until`, or to a stop.

  Returns:
    The state, the step, and whether the run ends, all as in every process.
  """
  settings = run.config.train
  grid = settings.steps_per_dispatch
  update = make_dispatch(
    run.config, stage, run.resident.cut if run.resident else None
  )
  reports = Reports(run, stage, int(state["skipped"]))
  state = parallel.replicate(pack_state(run.config, stage, state))
  indices = parallel.shard(np.asarray(run.examples, np.int32))
  per_device = np.ones(jax.local_device_count(), np.int32)
  compiled = set()  # for which numbers of steps the update is
  while step < until and not reports.stopping:
    # The grid of calls does not depend on where a run starts, nor do its bits.
    end = min((step // grid + 1) * grid, stage.stop)
    new = end - step not in compiled
    run.profile.before(step, new)
    with reports.compiling() if new else contextlib.nullcontext():
      with reports.clock.waiting():
        batches = np.stack([next(run.stream) for _ in range(step, end)])
      arguments = (
        state,
        run.data,
        parallel.shard(batches, 1),
        step * per_device,
        indices,
        int(run.stop.asked) * per_device,
      )
      if new:
        reports.take_work(update, arguments, end - step)
      state, sums = update(*arguments)
      del arguments  # which holds a state that was given away
      reports.add(sums, end - step, timed=not new)
    compiled.add(end - step)
    step = end
    if run.profile.is_over(step):
      with reports.paused():
        run.profile.end()
    if step % settings.log_every == 0 or step >= until:
      reports.write(step, int(parallel.unreplicate(state["skipped"])))
    if run.is_watched(stage, step):
      with reports.paused():
        run.watch(stage, step, state)
    if step % settings.checkpoint_every == 0 and step < until:
      with reports.paused():
        run.save(stage, step, state)
  host = run.save(stage, step, state)
  run.profile.end()  # the next stage compiles first
  # A signal may have come since the last step, and to one process alone.
  stopping = reports.stopping or parallel.any_process(run.stop.asked)
  return host, step, stopping
