"""What the steps of a stage report at intervals, to the log and the bar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from sclc_jax.plan import work
from sclc_jax.plan.chips import known_chip
from sclc_jax.train import parallel
from sclc_jax.train.logs import summarise
from sclc_jax.train.optim import schedule
from sclc_jax.train.progress import Stopwatch
from sclc_jax.train.stages import Stage

_AHEAD = 1  # calls that the device may run ahead of the host
_DIVERGED = 10  # updates in a row, none finite


class Reports:
  """Adds up what the steps of a stage give, and writes it at intervals.

  Attributes:
    clock: of the stage's steps.
    stopping: whether a process has asked for the end.
  """

  def __init__(self, run: Any, stage: Stage, skipped: int):
    """Takes what `loop` opens for a run, a stage, and its skipped updates."""
    self.clock = Stopwatch(run.config.data.batch_size)
    self.stopping = False
    self._run, self._stage = run, stage
    self._lr = schedule(run.config, stage)
    self._least_ms: float | None = None  # of a step, at the device's peak
    self._pending: list[Any] = []  # sums not yet fetched: the device runs ahead
    self._sums: dict[str, Any] = {}
    self._steps = 0  # since the last report
    self._skipped = skipped  # updates, until then
    self._failed = 0  # updates in the last reports that had no finite one

  def take_work(self, update: Callable, arguments: tuple, steps: int) -> None:
    """Counts the operations of a call, for `peak_share`.

    A device whose peak is not known takes no time here.

    Args:
      update: pmapped.
      arguments: that it is called with.
      steps: that the call takes.
    """
    chip = known_chip(jax.local_devices()[0])
    if chip is None or self._least_ms is not None:
      return
    flops = work.count(jax.make_jaxpr(update)(*arguments)) / steps
    precision = self._run.config.train.precision
    self._least_ms = 1000 * flops / chip.peak(precision)

  @contextlib.contextmanager
  def compiling(self) -> Iterator[None]:
    """Around the first call of its kind, whose steps are not timed."""
    self._run.bar.set_postfix_str(f"{self._stage.name}: compiling")
    with self.paused(comes_again=False):
      yield
      self._fetch(0)

  @contextlib.contextmanager
  def paused(self, comes_again: bool = True) -> Iterator[None]:
    """While the host does something else; see `Stopwatch.paused`."""
    self._fetch(0)  # or steps would go on unseen
    with self.clock.paused(comes_again):
      yield

  def add(self, sums: Any, steps: int, timed: bool) -> None:
    """Takes what a call gave for so many steps, which may be under way."""
    self._pending.append(sums)
    self._steps += steps
    if timed:
      self.clock.count(steps)
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
    done = self._steps - (skipped - self._skipped)
    norm = float(self._sums["grad_norm"]) / done if done else None
    row = {
      "step": step,
      "stage": self._stage.name,
      "loss": float(self._sums["loss"]) / self._steps,
      "lr": float(self._lr(step - self._stage.start)),
      "skipped": skipped,
      **summarise(self._sums),
      "grad_norm": norm,
      **self._speed(),
    }
    if self._run.log is not None:
      self._run.log.write(row)
    self._run.bar.show(row, self.clock.rate)
    self._stop_if_diverged(step, done)
    self._sums, self._steps, self._skipped = {}, 0, skipped

  def _speed(self) -> dict[str, float | None]:
    """The columns `logs.SPEED`; None where nothing was timed, or is known."""
    lap = self.clock.lap()
    share = None
    if self._least_ms is not None and lap["step_ms"] is not None:
      share = self._least_ms / lap["step_ms"]
    return lap | {"peak_share": share}

  def _stop_if_diverged(self, step: int, done: int) -> None:
    self._failed = 0 if done else self._failed + self._steps
    if self._failed >= _DIVERGED:
      saved = self._run.checkpoints.latest_step() or 0
      raise ValueError(
        f"the run has diverged: none of the last {self._failed} updates before "
        f"step {step} was finite. Lower optim.lr, or set optim.clip_norm, "
        f"and start again from step {saved}."
      )
