"""From an experiment's config file to a training run and its checkpoints."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from sclc_jax.config import (
  ExperimentConfig,
  ModelConfig,
  from_config_dict,
  from_dict,
  stage_model,
)

_EXAMPLE = "see experiments/smoke.py"


def call_in_file(path: str | os.PathLike, function: str) -> Any:
  """Runs a config file and calls its `get_...` function.

  Raises:
    ValueError: whatever goes wrong in it, in one sentence.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise ValueError(f"config {path} is not a file.")
  spec = importlib.util.spec_from_file_location("experiment", path)
  try:
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)()
  except Exception as error:  # it is the user's program
    raise ValueError(
      f"config {path} cannot be used ({type(error).__name__}: {error}); it "
      f"must be Python with a {function}(), {_EXAMPLE}."
    ) from None


def override(config, items: Sequence[str]) -> ExperimentConfig:
  """Applies `--config.KEY=VALUE` items to a ConfigDict and freezes it."""
  for item in items:
    key, equals, value = item.removeprefix("--config.").partition("=")
    if not (item.startswith("--config.") and equals):
      raise ValueError(f"unknown argument {item}; overrides are "
                       "--config.KEY=VALUE.")  # fmt: skip
    try:
      old = config
      for part in key.split("."):
        old = old[part]
      new = value if isinstance(old, str) else json.loads(value.lower())
      config.update_from_flattened_dict({key: new})
    except (KeyError, TypeError, json.JSONDecodeError, AttributeError) as error:
      text = " ".join(str(error).split())
      raise ValueError(f"config override {item}: {text}") from None
  return from_config_dict(config)


def load_config(
  path: str | os.PathLike, overrides: Sequence[str] = ()
) -> ExperimentConfig:
  """The frozen config of an `experiments/*.py`, with overrides."""
  return override(call_in_file(path, "get_config"), overrides)


def run(
  config: ExperimentConfig,
  workdir: str | os.PathLike,
  *,
  stop_at: int | None = None,
  quiet: bool = False,
) -> int:
  """Trains, or resumes, an experiment; returns the step reached."""
  from sclc_jax.train import parallel
  from sclc_jax.train.data import make_batches, open_folder
  from sclc_jax.train.loop import train

  kind, _, path = config.data.source.partition(":")
  if kind != "folder" or not path:
    raise ValueError(
      f"data.source is {config.data.source!r}; give "
      "--config.data.source=folder:PATH of your photographs."
    )
  params = _initial_params(config.init_from)
  images = open_folder(path, config.data.crop_size)

  def batches(step: int):
    return make_batches(
      images,
      crop_size=config.data.crop_size,
      batch_size=config.data.batch_size,
      seed=config.seed,
      start_step=step,
      max_downscale=config.data.max_downscale,
      examples=parallel.local_examples(config.data.batch_size),
    )

  return train(
    config, workdir, batches, stop_at=stop_at, initial_params=params,
    quiet=quiet,
  )  # fmt: skip


def _initial_params(source: str):
  if not source:
    return None
  if pathlib.Path(source).is_dir():
    return load_checkpoint(source)[1]
  from sclc_jax.codec.model_file import find_model

  return find_model(source).params


def load_checkpoint(
  workdir: str | os.PathLike, step: int | None = None
) -> tuple[ModelConfig, Any]:
  """(model config, parameters) of a workdir's checkpoint, the latest if None.

  Raises:
    ValueError: there is no such checkpoint.
  """
  from sclc_jax.checkpoint import Checkpoints
  from sclc_jax.train.loop import new_state, stages, trained_params

  folder = pathlib.Path(workdir) / "checkpoints"
  if not folder.is_dir():
    raise ValueError(
      f"{workdir} holds no checkpoints; give the --workdir of 'sclc train'."
    )
  checkpoints = Checkpoints(folder)
  step = checkpoints.latest_step() if step is None else step
  if step is None or step not in checkpoints.all_steps():
    raise ValueError(
      f"{workdir} has no checkpoint of step {step}; it has "
      f"{checkpoints.all_steps()}."
    )
  config = from_dict(checkpoints.meta(step)["config"])
  stage = next(s for s in stages(config) if step <= s.stop)
  state, _ = checkpoints.restore(step, new_state(config, stage, None))
  checkpoints.close()
  return stage_model(config, stage.name), trained_params(state)
