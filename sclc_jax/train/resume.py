"""Where a run goes on, and which settings may differ from when it was saved.

What may differ leaves the numbers those of an unbroken run of the new config:

- `train.log_every`, `train.checkpoint_every`, `data.cache_mib`,
  `data.workers`, `train.validate_every` and `data.validation` (whose best
  state starts anew);
- everything of stages that have not begun.

To float accuracy these too: `train.accumulate`, `train.steps_per_dispatch`, and
the number of devices and hosts. What a step draws depends on the seed, the step
and the number of an example in the global batch; a state is stored once, not a
device's share of it.

Two more may differ although the numbers may then be others, and a line says
so: `data.source`, since a folder may have moved, and a stage that is under way
or has been the last may take more steps, which stretches its learning rate's
decay. All else is refused.
"""

from __future__ import annotations

from typing import Any

from sclc_jax.buckets import Path
from sclc_jax.config import STAGES, ExperimentConfig, changes, from_dict
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.stages import Stage, stages

_HARMLESS = frozenset(
  (
    "train.log_every", "train.checkpoint_every", "train.validate_every",
    "data.cache_mib", "data.workers", "data.validation", "train.accumulate",
    "train.steps_per_dispatch",
  )
)  # fmt: skip


def reached(
  checkpoints: Checkpoints,
  config: ExperimentConfig,
  workdir: Path,
  wanted: int | None = None,
) -> tuple[int, list[str]]:
  """The step that a run goes on from, 0 if there is none.

  Args:
    checkpoints: of the workdir.
    config: of the run that goes on.
    workdir: to name in errors.
    wanted: a step; newer ones are set aside. The newest if None.

  Returns:
    The step, and what a user should know, a line each.

  Raises:
    ValueError: the step is not there or not whole, or is of another config.
  """
  lines = [
    f"{checkpoints.folder / name} is a save that was cut off: removed"
    for name in checkpoints.remove_unfinished()
  ]
  step = checkpoints.choose(wanted)
  if step is None:
    return 0, lines
  resumed = going_on(checkpoints, config, workdir, step)
  if wanted is not None:
    newer = checkpoints.set_aside(step)
    if newer:
      lines.append(
        f"set aside the checkpoints after step {step}: "
        f"{', '.join(map(str, newer))}, now in {workdir / 'set_aside'}"
      )
  return step, lines + resumed


def going_on(
  checkpoints: Checkpoints, config: ExperimentConfig, workdir: Path, step: int
) -> list[str]:
  """What a user should know of a run that goes on from a step, a line each.

  Nothing is changed. Arguments and errors are those of `reached`.
  """
  old = from_dict(checkpoints.meta(step)["config"])
  changed = changes(old, config)
  current = next(s for s in stages(old) if step <= s.stop)
  refused = {
    key: values
    for key, values in changed.items()
    if not _may_differ(key, current, *values)
  }
  if refused:
    texts = (f"{key} {a} instead of {b}" for key, (a, b) in refused.items())
    raise ValueError(
      f"{workdir} holds a run of another config ({'; '.join(texts)}); give "
      "its config, or an empty --workdir."
    )
  last = stages(config)[-1].stop
  if step >= last:
    return []
  return [_resumed(step, last, current, changed), *_warnings(current, changed)]


def _may_differ(key: str, current: Stage, old: Any, new: Any) -> bool:
  """Whether a run may go on with another value of a key."""
  if key in _HARMLESS or key == "data.source":
    return True
  if not key.startswith("stages."):
    return False
  _, name, setting = key.split(".")
  if name == current.name:
    return setting == "steps" and new > old
  return STAGES.index(name) > STAGES.index(current.name)


def _resumed(
  step: int, last: int, current: Stage, changed: dict[str, tuple]
) -> str:
  line = f"resumed from step {step} of {last} (stage {current.name})"
  if changed:
    texts = [f"{k} is {new}, was {old}" for k, (old, new) in changed.items()]
    line += f"; {'; '.join(texts)}"
  return line


def _warnings(current: Stage, changed: dict[str, tuple]) -> list[str]:
  """What changes the numbers of a run that goes on, a line each."""
  lines = []
  if "data.source" in changed:
    lines.append(
      f"data.source was {changed['data.source'][0]}: unless it has the same "
      "photographs, the examples from now on are others than an unbroken run's"
    )
  if f"stages.{current.name}.steps" in changed:
    lines.append(
      f"stage {current.name} takes longer than it was begun with: the learning "
      "rate follows the longer cosine from now on, so the numbers are not "
      "those of an unbroken run"
    )
  return lines
