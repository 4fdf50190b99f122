"""One loop for all stages: steps, reports, checkpoints, and how a run ends.

A stage is data: the parts that are built, the parts that train, the levels, the
number of steps. A resumed run continues as an unbroken one would have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import tqdm

from sclc_jax.config import ExperimentConfig, differences, from_dict
from sclc_jax.train import parallel
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.logs import TrainingLog, summarise
from sclc_jax.train.optim import schedule
from sclc_jax.train.stages import Stage, stages
from sclc_jax.train.step import (
  Resident,
  make_dispatch,
  new_state,
  restore_state,
  trained_params,
)
from sclc_jax.train.validation import Validation, Validator

_AHEAD = 1  # calls that the device may run ahead of the host
_DIVERGED = 10  # updates in a row, none finite

Batches = Callable[[int], Iterator[np.ndarray]]


def train(
  config: ExperimentConfig,
  workdir: str | pathlib.Path,
  batches: Batches,
  *,
  stop_at: int | None = None,
  initial_params: Callable[[], Any] | None = None,
  about: Callable[[], dict[str, Any]] | None = None,
  resident: Resident | None = None,
  validator: Validator | None = None,
  quiet: bool = False,
) -> int:
  """Trains, or resumes what `workdir` holds, through all stages.

  Args:
    config: of the experiment; must equal that of a run being resumed.
    workdir: of checkpoints, best, log.csv, validation.csv and tensorboard.
    batches: gives the uint8 [B, crop, crop, 3] batches from a step on, or what
      `resident` makes them from.
    stop_at: saves and ends at this step (counted over all stages), or at the
      end of the call of `train.steps_per_dispatch` steps that it lies in.
    initial_params: gives the parameters that the first stage starts from;
      not called where none is left to start.
    about: gives what the checkpoints of a new run say beside its config, for
      `runs.provenance`; a resumed run keeps what they say.
    resident: data in device memory.
    validator: called every `train.validate_every` steps and at the end of each
      stage, by the first process.
    quiet: no progress bar.

  Returns:
    The step reached.
  """
  workdir = pathlib.Path(workdir).absolute()
  plan = stages(config)
  checkpoints = Checkpoints(workdir / "checkpoints")
  step = _reached(checkpoints, config, workdir)
  examples = _local_examples(config)
  last = min(plan[-1].stop, stop_at or plan[-1].stop)
  # A later stage takes its parts from there too, where they are.
  begins = initial_params is not None and step <= plan[-1].start and step < last
  params = carried = (initial_params() or {}) if begins else {}
  workdir.mkdir(parents=True, exist_ok=True)
  stream = batches(step) if step < last else iter(())
  meta = checkpoints.meta(step) if step else (about or dict)()
  meta = meta | {"config": dataclasses.asdict(config)}
  run = _open_run(
    config, workdir, step, stream, examples, checkpoints, meta, resident,
    validator, quiet,
  )  # fmt: skip
  try:
    for stage in plan:
      if step >= last or run.stop.asked:
        break
      if step > stage.stop:
        continue
      if step > stage.start:
        state = restore_state(checkpoints, step, config, stage)
      else:
        state = new_state(config, stage, params)
      if step < stage.stop:
        state, step = _run_stage(run, stage, state, step, min(last, stage.stop))
      params = carried | state["params"]  # what the next stage starts from
  finally:
    run.close()
  return step


def _reached(
  checkpoints: Checkpoints, config: ExperimentConfig, workdir: pathlib.Path
) -> int:
  """The step that a workdir's run has reached, 0 if there is none.

  Raises:
    ValueError: it is a run of another config.
  """
  step = checkpoints.latest_step() or 0
  if not step:
    return 0
  differing = differences(from_dict(checkpoints.meta(step)["config"]), config)
  if differing:
    raise ValueError(
      f"{workdir} holds a run of another config ({'; '.join(differing)}); give "
      "its config, or an empty --workdir."
    )
  return step


def _local_examples(config: ExperimentConfig) -> range:
  """This process's examples of a batch.

  Raises:
    ValueError: they do not divide over devices, or over the parts of one.
  """
  examples = parallel.local_examples(config.data.batch_size)
  share = len(examples) // jax.local_device_count()
  if share % config.train.accumulate:
    raise ValueError(
      f"train.accumulate is {config.train.accumulate}, which does not divide "
      f"the {share} examples of a device."
    )
  return examples


class _Stop:
  """Becomes true on SIGTERM; looked at between steps."""

  def __init__(self):
    self.asked = False
    self._previous = None
    if threading.current_thread() is threading.main_thread():
      self._previous = signal.signal(signal.SIGTERM, self._ask)

  def close(self) -> None:
    """Gives SIGTERM back to who had it."""
    if self._previous is not None:
      signal.signal(signal.SIGTERM, self._previous)

  def _ask(self, *unused):
    self.asked = True


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
  bar: tqdm.tqdm
  stop: _Stop

  def close(self) -> None:
    """Waits for the checkpoints, and gives back what was taken."""
    self.checkpoints.close()
    if self.validation is not None:
      self.validation.close()
    if self.log is not None:
      self.log.close()
    self.bar.close()
    self.stop.close()

  def validate(self, stage: Stage, step: int, state: dict[str, Any]) -> None:
    """Validates where it is due, and keeps the best state."""
    every = self.config.train.validate_every
    if self.validation and (step % every == 0 or step == stage.stop):
      host = parallel.unreplicate(state)
      params = trained_params(host)
      self.validation(stage.name, step, host, params, self.meta, self.log)

  def save(self, step: int, state: dict[str, Any]) -> dict[str, Any]:
    """Saves the state; returns it, on the host."""
    host = parallel.unreplicate(state)
    self.checkpoints.save(step, host, self.meta)
    return host


def _open_run(
  config, workdir, step, stream, examples, checkpoints, meta, resident,
  validator, quiet,
) -> _Run:  # fmt: skip
  """Opens the logs and the progress bar; the other arguments are `train`'s."""
  first = parallel.is_first_process()
  log = None
  if first:
    log = TrainingLog(workdir, config, step, validator is not None)
  bar = tqdm.tqdm(
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
    validation=Validation(config, workdir, validator) if validator else None,
    bar=bar,
    stop=_Stop(),
  )


def _run_stage(
  run: _Run, stage: Stage, state: dict[str, Any], step: int, until: int
) -> tuple[dict[str, Any], int]:
  """Trains from `step` to `until`, or to a stop; returns (state, step)."""
  settings = run.config.train
  grid = settings.steps_per_dispatch
  update = make_dispatch(
    run.config, stage, run.resident.cut if run.resident else None
  )
  reports = _Reports(run, stage, int(state["skipped"]))
  state = parallel.replicate(state)
  indices = parallel.shard(np.asarray(run.examples, np.int32))
  per_device = np.ones(jax.local_device_count(), np.int32)
  compiled = set()  # for which numbers of steps the update is
  while step < until and not reports.stopping:
    # The grid of calls does not depend on where a run starts, nor do its bits.
    end = min((step // grid + 1) * grid, stage.stop)
    batches = np.stack([next(run.stream) for _ in range(step, end)])
    new = end - step not in compiled
    with _compiling(run.bar, stage) if new else contextlib.nullcontext():
      state, sums = update(
        state,
        run.data,
        parallel.shard(batches, 1),
        step * per_device,
        indices,
        int(run.stop.asked) * per_device,
      )
    compiled.add(end - step)
    reports.add(sums, end - step)
    step = end
    if step % settings.log_every == 0 or step >= until:
      reports.write(step, int(parallel.unreplicate(state["skipped"])))
    run.validate(stage, step, state)
    if step % settings.checkpoint_every == 0 and step < until:
      run.save(step, state)
  host = run.save(step, state)
  run.stop.asked = run.stop.asked or reports.stopping
  return host, step


@contextlib.contextmanager
def _compiling(bar: tqdm.tqdm, stage: Stage) -> Iterator[None]:
  """Says so on the bar, whose estimate of the time left does not count it."""
  bar.set_postfix_str(f"{stage.name}: compiling")
  yield
  bar.unpause()  # as if no time had passed since the bar last moved


class _Reports:
  """Adds up what the steps of a stage give, and writes it at intervals.

  Attributes:
    stopping: whether a process has asked for the end.
  """

  def __init__(self, run: _Run, stage: Stage, skipped: int):
    self.stopping = False
    self._run, self._stage = run, stage
    self._lr = schedule(run.config, stage)
    self._pending: list[Any] = []  # sums not yet fetched: the device runs ahead
    self._sums: dict[str, Any] = {}
    self._steps = 0  # since the last report
    self._skipped = skipped  # updates, until then
    self._failed = 0  # updates in the last reports that had no finite one

  def add(self, sums: Any, steps: int) -> None:
    """Takes what a call gave for so many steps, which may be under way."""
    self._pending.append(sums)
    self._steps += steps
    self._run.bar.update(steps)
    self._fetch(_AHEAD)

  def _fetch(self, ahead: int) -> None:
    while len(self._pending) > ahead:
      sums = parallel.unreplicate(self._pending.pop(0))
      self.stopping = self.stopping or bool(sums.pop("stop"))
      self._sums = {k: self._sums.get(k, 0) + v for k, v in sums.items()}

  def write(self, step: int, skipped: int) -> None:
    """Reports the steps since the last time.

    Args:
      step: that has been reached.
      skipped: updates that were not finite, of the whole stage.

    Raises:
      ValueError: the run has diverged.
    """
    self._fetch(0)
    row = {
      "step": step,
      "stage": self._stage.name,
      "loss": float(self._sums["loss"]) / self._steps,
      "lr": float(self._lr(step - self._stage.start)),
      "skipped": skipped,
      **summarise(self._sums),
    }
    if self._run.log is not None:
      self._run.log.write(row)
    top = self._run.config.model.levels
    self._run.bar.set_postfix_str(
      f"{self._stage.name} loss {row['loss']:.3f} level {top}: "
      f"{row[f'psnr_db_{top}']:.2f} dB {row[f'bpp_{top}']:.3f} bpp"
    )
    all_failed = skipped - self._skipped == self._steps
    self._failed = self._failed + self._steps if all_failed else 0
    if self._failed >= _DIVERGED:
      saved = self._run.checkpoints.latest_step() or 0
      raise ValueError(
        f"the run has diverged: none of the last {self._failed} updates before "
        f"step {step} was finite. Lower optim.lr, or set optim.clip_norm, "
        f"and start again from step {saved}."
      )
    self._sums, self._steps, self._skipped = {}, 0, skipped
