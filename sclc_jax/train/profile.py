"""A trace of some steps, for TensorBoard's profile plugin (xprof)."""

from __future__ import annotations

import os

import jax

from sclc_jax.train.progress import say


def check(steps: range | None, begin: int, last: int) -> None:
  """Raises a ValueError where a run goes through none of the steps.

  Args:
    steps: to trace, if any.
    begin: the step that the run goes on from.
    last: the step that it ends at.
  """
  if steps and (steps.start >= last or steps.stop <= begin):
    raise ValueError(
      f"--profile {steps.start}:{steps.stop} lies outside of this run, which "
      f"trains from step {begin} to step {last}; give some of its steps."
    )


class Profile:
  """Traces the calls that lie in a range of steps, but no compilation.

  One process traces. The others go through the same methods, so that all wait
  for their devices after the same calls, and learn of a stop at the same step.
  """

  def __init__(
    self, steps: range, folder: str | os.PathLike | None, shown: str
  ):
    """Nothing is traced yet.

    Args:
      steps: counted over all stages; none if empty.
      folder: of TensorBoard's files; the trace goes to plugins/profile in it.
        None where another process traces.
      shown: what to call the folder.
    """
    self._steps, self._folder, self._shown = steps, folder, shown
    self._first: int | None = None  # step, while it traces
    self._last = 0

  def before(self, step: int, compiles: bool) -> None:
    """Begins, where the call that starts at a step is to be traced."""
    if self._first is None and step in self._steps and not compiles:
      self._first = step
      if self._folder is not None:
        jax.profiler.start_trace(str(self._folder))

  def is_over(self, step: int) -> bool:
    """Whether the call that ends at a step is the last one to be traced."""
    self._last = step
    return self._first is not None and step >= self._steps.stop

  def end(self) -> None:
    """Writes the trace, where there is one; all calls have ended."""
    if self._first is None:
      return
    if self._folder is not None:
      jax.profiler.stop_trace()
    say(
      f"steps {self._first} to {self._last} are traced in {self._shown}/"
      "plugins/profile; TensorBoard shows that under Profile"
    )
    self._first, self._steps = None, range(0)

  def close(self) -> None:
    """Ends, and says if no step could be traced."""
    self.end()
    if self._steps and self._last > self._steps.start:
      say(
        f"no step of --profile {self._steps.start}:{self._steps.stop} was "
        "traced: those that were reached compiled the program; give later ones"
      )
