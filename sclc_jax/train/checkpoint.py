"""Checkpoints by orbax: the one place that knows its API and its files."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from sclc_jax.buckets import Path, is_remote, kvstore, to_path
from sclc_jax.files import (
  absolute,
  is_folder,
  is_there,
  move_folder,
  remove_folder,
)
from sclc_jax.train import parallel

_UNFINISHED = ".orbax-checkpoint-tmp"  # in the name of a save under way
_COMMITTED = "commit_success.txt"  # in a bucket, in a save that is whole


class Checkpoints:
  """A folder of training states, one a step, the latest ones kept.

  States are pytrees of arrays; what else a run needs is a JSON dict.
  """

  def __init__(self, folder: str | os.PathLike, max_to_keep: int = 3):
    self.folder = absolute(folder)
    self.folder.mkdir(parents=True, exist_ok=True)
    self._whole: set[int] = set()  # steps that have been read once
    options = ocp.CheckpointManagerOptions(
      max_to_keep=max_to_keep,
      create=True,
      # Processes wait for each other under names of theirs: a run may save one
      # step to two folders at once.
      multiprocessing_options=ocp.options.MultiprocessingOptions(
        barrier_sync_key_prefix=self.folder.name
      ),
    )
    with _without_warnings():
      self._manager = ocp.CheckpointManager(
        self.folder, options=options, item_names=("state", "meta")
      )

  def latest_step(self) -> int | None:
    """The newest step, None in an empty folder.

    All processes of a run call this and get what the first one sees: on shared
    storage another may see a new file later.
    """
    step = self._manager.latest_step()
    step = parallel.from_first_process(np.int32(-1 if step is None else step))
    return None if step < 0 else int(step)

  def all_steps(self) -> list[int]:
    """Every step that is kept."""
    return sorted(self._manager.all_steps())

  def choose(self, step: int | None) -> int | None:
    """A step that is kept: the one asked for, or the newest one.

    Returns:
      None where the newest is asked for and the folder is empty.

    Raises:
      ValueError: there is no such step, or a file of it is missing or cut off.
    """
    steps = self.all_steps()
    if step is None:
      step = self.latest_step()
    elif step not in steps:
      raise ValueError(
        f"{self.folder} has no checkpoint of step {step}; it has "
        f"{', '.join(map(str, steps)) or 'none'}."
      )
    if step is not None:
      self._check(step)
    return step

  def save(self, step: int, state: Any, meta: dict) -> None:
    """Saves in the background; a step that exists is left as it is.

    All processes of a run call this.
    """
    if _is_in_first_process(step in self._manager.all_steps()):
      return
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
      ),
    )

  def restore(self, step: int, target: Any) -> tuple[Any, dict]:
    """(state, meta) of a step; `target` is that of `jax.eval_shape`."""
    restored = self._restore(
      step, state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore()
    )
    return restored["state"], restored["meta"]

  def meta(self, step: int) -> dict:
    """The JSON dict of a step."""
    return self._restore(step, meta=ocp.args.JsonRestore())["meta"]

  def remove_unfinished(self) -> list[str]:
    """Removes what saves have left that were cut off; returns the names.

    Only for the run that saves to the folder: another's save may be under way.
    """
    paths = self._unfinished()
    if parallel.is_first_process():
      for path in paths:
        remove_folder(path)
    return [path.name for path in paths]

  def _unfinished(self) -> list[Path]:
    if not is_remote(self.folder):
      return sorted(self.folder.glob(f"*{_UNFINISHED}*"))
    if not is_folder(self.folder):
      return []
    steps = [path for path in self.folder.iterdir() if path.name.isdigit()]
    return sorted(path for path in steps if not is_there(path / _COMMITTED))

  def set_aside(self, after: int) -> list[int]:
    """Moves the steps after one to the folder `set_aside` beside this one.

    All processes of a run call this.

    Returns:
      The steps.
    """
    steps = [step for step in self.all_steps() if step > after]
    if not _is_in_first_process(bool(steps)):  # by now all have listed them
      return []
    aside = self.folder.parent / "set_aside" / self.folder.name
    if parallel.is_first_process():
      for step in steps:
        move_folder(self.folder / str(step), aside / str(step))
    _wait_for_all()
    self._whole -= set(steps)
    self._manager.reload()
    return steps

  def close(self) -> None:
    """Waits, then releases the folder."""
    self._manager.close()

  def _restore(self, step: int, **items) -> Any:
    self._check(step)
    try:
      with _without_warnings():
        return self._manager.restore(step, args=ocp.args.Composite(**items))
    except Exception as error:  # orbax has no class of its own for these
      reason = " ".join(str(error).split())[:120]
      raise ValueError(
        f"{self.folder / str(step)} cannot be restored ({reason}): it is "
        "damaged, or another version of this package has written it; "
        f"{self._other_steps(step)}"
      ) from None

  def _check(self, step: int) -> None:
    """Refuses a step that is not whole.

    It reads every byte first, as the errors of orbax are of hundreds of lines,
    some of them printed by other threads.
    """
    if step in self._whole:
      return
    if not self._is_whole(step):
      raise ValueError(
        f"{self.folder / str(step)} is incomplete; {self._other_steps(step)}"
      )
    self._whole.add(step)

  def _other_steps(self, step: int) -> str:
    """What can be taken instead of a step, as a sentence."""
    others = (s for s in reversed(self.all_steps()) if s != step)
    last = next((s for s in others if self._is_whole(s)), None)
    if last is None:
      return "no other checkpoint is whole: start anew with an empty --workdir."
    return f"the last whole checkpoint is step {last}: --step {last} takes it."

  def _is_whole(self, step: int) -> bool:
    import tensorstore

    folder = self.folder / str(step)
    files = kvstore(folder / "state")
    try:
      for part in ("meta/metadata", "state/_METADATA"):
        json.loads((folder / part).read_text())
      store = tensorstore.KvStore.open({"driver": "ocdbt", "base": files})
      store = store.result()
      keys = store.list().result()
      # Nothing is stored empty: that is what a missing file reads as.
      values = (store.read(key).result().value for key in keys)
      return bool(keys) and all(map(len, values))
    except PermissionError:
      raise
    except (OSError, ValueError):
      return False


def _is_in_first_process(condition: bool) -> bool:
  """What the first process sees of its storage; all processes call this."""
  return bool(parallel.from_first_process(np.asarray(condition)))


def _wait_for_all() -> None:
  parallel.from_first_process(np.zeros(()))


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
  """Keeps back orbax's remarks on files that it can do without."""
  logger = logging.getLogger("absl")
  level = logger.level
  logger.setLevel(logging.CRITICAL)
  try:
    yield
  finally:
    logger.setLevel(level)


def open_checkpoint(
  workdir: str | os.PathLike, step: int | None = None, best: bool = False
) -> tuple[Checkpoints, int]:
  """The checkpoints of a workdir, which the caller closes, and a step.

  Args:
    workdir: of a training run.
    step: the latest if None.
    best: the one that validated best instead.

  Raises:
    ValueError: there is no such checkpoint, or it is not whole.
  """
  folder = to_path(workdir) / ("best" if best else "checkpoints")
  if not is_folder(folder):
    raise ValueError(
      f"{folder} does not exist; give the --workdir of 'sclc train'"
      + (" of a run with train.validate_every set." if best else ".")
    )
  checkpoints = Checkpoints(folder)
  chosen = checkpoints.choose(step)
  if chosen is None:
    raise ValueError(
      f"{folder} holds no checkpoint; train until the first one is saved."
    )
  return checkpoints, chosen
