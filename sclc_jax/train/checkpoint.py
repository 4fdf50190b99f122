"""Checkpoints by orbax: the one place that knows its API."""

from __future__ import annotations

import pathlib
from typing import Any

import orbax.checkpoint as ocp


class Checkpoints:
  """A folder of training states, one a step, the latest ones kept.

  States are pytrees of arrays; what else a run needs is a JSON dict.
  """

  def __init__(self, folder: str | pathlib.Path, max_to_keep: int = 3):
    options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep, create=True)
    self._manager = ocp.CheckpointManager(
      pathlib.Path(folder).absolute(),
      options=options,
      item_names=("state", "meta"),
    )

  def latest_step(self) -> int | None:
    """The newest step, None in an empty folder."""
    return self._manager.latest_step()

  def all_steps(self) -> list[int]:
    """Every step that is kept."""
    return sorted(self._manager.all_steps())

  def save(self, step: int, state: Any, meta: dict) -> None:
    """Saves in the background; a step that exists is left as it is."""
    if step in self._manager.all_steps():
      return
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
      ),
    )

  def restore(self, step: int, target: Any) -> tuple[Any, dict]:
    """(state, meta) of a step; `target` is that of `jax.eval_shape`."""
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore()
      ),
    )
    return restored["state"], restored["meta"]

  def meta(self, step: int) -> dict:
    """The JSON dict of a step."""
    restored = self._manager.restore(
      step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
    )
    return restored["meta"]

  def close(self) -> None:
    """Waits, then releases the folder."""
    self._manager.close()


def open_checkpoint(
  workdir: str | pathlib.Path, step: int | None = None, best: bool = False
) -> tuple[Checkpoints, int]:
  """The checkpoints of a workdir, which the caller closes, and a step.

  Args:
    workdir: of a training run.
    step: the latest if None.
    best: the one that validated best instead.

  Raises:
    ValueError: there is no such checkpoint.
  """
  folder = pathlib.Path(workdir) / ("best" if best else "checkpoints")
  if not folder.is_dir():
    raise ValueError(
      f"{folder} does not exist; give the --workdir of 'sclc train'"
      + (" of a run with train.validate_every set." if best else ".")
    )
  checkpoints = Checkpoints(folder)
  step = checkpoints.latest_step() if step is None else step
  if step is None or step not in checkpoints.all_steps():
    raise ValueError(
      f"{workdir} has no checkpoint of step {step}; it has "
      f"{checkpoints.all_steps()}."
    )
  return checkpoints, step
