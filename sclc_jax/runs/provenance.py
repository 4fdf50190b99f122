"""What trained a model, run by run, as the checkpoint tells it.

It has no time and no host, and of a path only the last part.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import os
import pathlib
from typing import Any

from sclc_jax import __version__
from sclc_jax.buckets import Path, to_path
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.config import ExperimentConfig, from_dict, stage_model
from sclc_jax.files import is_folder, is_there, open_text
from sclc_jax.train.checkpoint import open_checkpoint
from sclc_jax.train.stages import stages

LOG_ROWS = 50  # of each run, at most
Run = dict[str, Any]  # see `codec.model.codec_model.CodecModel.provenance`


def facts(config: ExperimentConfig, images: int) -> dict[str, Any]:
  """What the checkpoints of a new run store beside its config.

  Args:
    config: of the run.
    images: how many it trains on.
  """
  import jax

  devices = jax.devices()
  parent, ancestors = _parent(config.init_from)
  return {
    "run": {
      **({"parent": parent} if parent else {}),
      "data": {"source": _last(config.data.source), "images": images},
      "hardware": {"device": devices[0].device_kind, "count": len(devices)},
      "versions": {"jax": jax.__version__, "sclc_jax": __version__},
    },
    "ancestors": ancestors,
  }


def _parent(source: str) -> tuple[str, list[Run]]:
  """Name of what a run starts from, and the runs that trained that."""
  if not source:
    return "", []
  if is_folder(source):
    return _last(source), chain(source)
  from sclc_jax.codec.model.model_file import find_model
  from sclc_jax.codec.model.shipped import shipped_models

  model = find_model(source)
  name = source if source in shipped_models() else model.fingerprint.hex()
  return name, list(model.provenance)


def chain(
  workdir: str | os.PathLike, step: int | None = None, best: bool = False
) -> list[Run]:
  """The runs that trained a checkpoint, the first one first.

  Args:
    workdir: of the last run.
    step: of the checkpoint, the latest if None.
    best: the one that validated best instead.
  """
  checkpoints, step = open_checkpoint(workdir, step, best)
  meta = checkpoints.meta(step)
  checkpoints.close()
  config = from_dict(meta["config"])
  run = {
    "config": _without_paths(dataclasses.asdict(config)),
    "stages": steps_done(config, step),
    **meta.get("run", {}),
  }
  log = _read_log(to_path(workdir) / "log.csv", step)
  if log["rows"]:
    run["log"] = log
  return [*meta.get("ancestors", []), run]


def steps_done(
  config: ExperimentConfig, step: int
) -> dict[str, dict[str, int]]:
  """Steps `done` and `planned` of each stage that has some."""
  return {
    stage.name: {
      "done": min(max(step, stage.start), stage.stop) - stage.start,
      "planned": stage.stop - stage.start,
    }
    for stage in stages(config)
  }


def describe_stages(run: Run) -> str:
  """The stages of a run in words: `base 450, quantization 20 of 100 steps`."""
  words = []
  for name, steps in run["stages"].items():
    words.append(f"{name} {steps['done']}")
    if steps["done"] < steps["planned"]:
      words[-1] += f" of {steps['planned']}"
  return ", ".join(words) + " steps"


def _last(path: str) -> str:
  """Without the folders of a path: `folder:/a/b` becomes `folder:b`."""
  kind, colon, name = path.replace("gs://", "/").rpartition(":")
  return kind + colon + pathlib.PurePath(name).name


def _without_paths(config: dict[str, Any]) -> dict[str, Any]:
  data = config["data"]
  short = {key: _last(data[key]) for key in ("source", "validation")}
  return config | {
    "init_from": _last(config["init_from"]), "data": data | short
  }  # fmt: skip


def _read_log(path: Path, step: int) -> dict[str, list]:
  """Columns, and at most LOG_ROWS rows up to a step, spread over them all."""
  if not is_there(path):
    return {"columns": [], "rows": []}
  with open_text(path) as file:
    columns, *rows = csv.reader(file)
  at = columns.index("step")
  rows = [row for row in rows if int(row[at]) <= step]
  count = min(LOG_ROWS, len(rows))
  spread = [(i + 1) * len(rows) // count - 1 for i in range(count)]
  return {
    "columns": columns, "rows": [[*map(_number, rows[i])] for i in spread]
  }  # fmt: skip


def _number(text: str) -> int | float | str:
  """A finite number, or the text."""
  try:
    number = float(text)
  except ValueError:
    return text
  if not math.isfinite(number):
    return text
  return int(text) if text.isdigit() else number


def check_rates(run: Run, model: CodecModel) -> None:
  """Raises a ValueError where a model has one rate and its run wants several.

  Args:
    run: the last one; it may have been stopped before its quantizer was built.
    model: of its latest checkpoint.
  """
  config = from_dict(run["config"])
  whole = stage_model(config, stages(config)[-1].name)
  if model.is_single_rate and (whole.adaptive or whole.selective):
    step = sum(steps["done"] for steps in run["stages"].values())
    raise ValueError(
      f"the run has trained {describe_stages(run)}, so that its model has "
      f"{model.rates}; go on with 'sclc train', or give --step {step} to "
      "export it as it is."
    )
