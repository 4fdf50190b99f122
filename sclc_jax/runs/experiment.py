"""From an experiment's config file to a training run and its checkpoints."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from sclc_jax.config import (
  INIT_PARTS,
  ExperimentConfig,
  ModelConfig,
  Objective,
  belongs,
  from_dict,
  stage_model,
)
from sclc_jax.files import is_folder
from sclc_jax.runs import recipes
from sclc_jax.runs.overrides import override


@contextlib.contextmanager
def _importing_from(folder: pathlib.Path) -> Iterator[None]:
  """Modules beside a file can be imported, for as long as it is loaded."""
  before = set(sys.modules)
  sys.path.insert(0, str(folder))
  try:
    yield
  finally:
    sys.path.remove(str(folder))
    for name in set(sys.modules) - before:  # another folder may have its own
      file = getattr(sys.modules[name], "__file__", None)
      if file and folder in pathlib.Path(file).parents:
        del sys.modules[name]


def call_in_file(recipe: str | os.PathLike, function: str) -> Any:
  """Runs a config file and calls its `get_...` function.

  It can import modules that lie beside it.

  Args:
    recipe: a path, or the name of a recipe (`recipes.find`).
    function: `get_config` or, of a sweep, `get_sweep`.

  Raises:
    ValueError: whatever goes wrong in it, in one sentence.
  """
  below = recipes.SWEEPS if function == "get_sweep" else ""
  path = recipes.find(recipe, below).absolute()
  spec = importlib.util.spec_from_file_location("experiment", path)
  try:
    with _importing_from(path.parent):
      module = importlib.util.module_from_spec(spec)
      spec.loader.exec_module(module)
      return getattr(module, function)()
  except Exception as error:  # it is the user's program
    raise ValueError(
      f"config {path} cannot be used ({type(error).__name__}: {error}); it "
      f"must be Python with a {function}(), as in {recipes.find('smoke')}."
    ) from None


def load_config(
  recipe: str | os.PathLike, overrides: Sequence[str] = ()
) -> ExperimentConfig:
  """The frozen config of a recipe, by name or path, with overrides."""
  return override(call_in_file(recipe, "get_config"), overrides)


def run(
  config: ExperimentConfig,
  workdir: str | os.PathLike,
  *,
  stop_at: int | None = None,
  from_step: int | None = None,
  profile: range | None = None,
  quiet: bool = False,
) -> int:
  """Trains, or resumes, an experiment; arguments as of `loop.train`."""
  from sclc_jax.runs import provenance
  from sclc_jax.train.loop import train

  def params():
    return initial_params(config.init_from, config.init_parts)

  validator = make_validator(config)
  batches, resident, images = open_data(config)
  try:
    return train(
      config, workdir, batches, stop_at=stop_at, from_step=from_step,
      initial_params=params, resident=resident, validator=validator,
      pictures=make_pictures(config, images), profile=profile, quiet=quiet,
      about=lambda: provenance.facts(config, len(images)),
    )  # fmt: skip
  finally:
    if not isinstance(sys.exc_info()[1], ValueError):
      images.tell()


def make_pictures(config: ExperimentConfig, images: Sequence):
  """What TensorBoard shows: of `data.validation`, else of the training set.

  Args:
    config: of the experiment.
    images: of the training set.

  Returns:
    What `loop.train` takes as its pictures.
  """
  from sclc_jax.images import find_images, load_rgb
  from sclc_jax.train.pictures import Pictures

  folder = config.data.validation.partition(":")[2]

  def first_images():
    if config.train.validate_every:
      yield from map(load_rgb, find_images(folder))
    yield from images

  return Pictures(first_images)


def open_data(config: ExperimentConfig):
  """(batches, resident, the images), as `loop.train` takes the first two."""
  from sclc_jax.train import device_data, parallel
  from sclc_jax.train.data import decode_all, make_batches, open_images

  data = config.data
  # Where the set is on the devices, nothing is left to decode.
  workers = 0 if data.device_resident else data.workers
  cache_mib = 0 if data.device_resident else data.cache_mib // max(1, workers)
  opened = images = open_images(data.source, data.crop_size, cache_mib)
  finish = resident = None
  if data.device_resident:
    decoded = decode_all(images)
    window = device_data.largest_square(
      decoded, data.crop_size, data.max_downscale
    )
    packed = device_data.pack(decoded)
    resident = device_data.resident(packed, data.crop_size, window)
    images, finish = device_data.shapes_of(decoded), device_data.to_row

  def batches(step: int):
    return make_batches(
      images,
      crop_size=data.crop_size,
      batch_size=data.batch_size,
      seed=config.seed,
      start_step=step,
      max_downscale=data.max_downscale,
      examples=parallel.local_examples(data.batch_size),
      finish=finish,
      workers=workers,
    )

  return batches, resident, opened


def make_validator(config: ExperimentConfig):
  """Codes `data.validation` at every level; None where it is not asked for.

  Returns:
    What `loop.train` takes as its validator.
  """
  if not config.train.validate_every:
    return None
  from sclc_jax.codec.codec import Codec
  from sclc_jax.evaluation import measure as ev
  from sclc_jax.export.freeze import freeze
  from sclc_jax.images import find_images

  folder = config.data.validation.partition(":")[2]
  paths = find_images(folder)
  if not paths:
    raise ValueError(
      f"data.validation names {folder}, which has no image; give folder:PATH "
      "of a folder with photographs."
    )

  def validate(model: ModelConfig, params) -> list[dict[str, float]]:
    levels = range(1, model.levels + 1)
    qualities = levels if model.adaptive else levels[-1:]
    codec = Codec(freeze(model, params), fast=model.fast)
    rows = ev.evaluate(codec, paths, qualities, quiet=True).rows
    for row in rows:
      row["distortion"] = 255**2 / 10 ** (row["psnr_db"] / 10)
      if config.train.distortion == "ms_ssim":
        row["distortion"] = 1 - row["ms_ssim"]
      if not math.isfinite(row["distortion"]):
        raise ValueError(
          f"data.validation holds {row['image']}, too small for MS-SSIM; take "
          "images of at least 161 pixels a side."
        )
    return ev.mean_rows(rows)

  return validate


def initial_params(source: str, parts: str) -> Any | None:
  """Parameters that a run starts from; see `config.ExperimentConfig`.

  Args:
    source: a workdir, a model file or a shipped name; empty gives None.
    parts: a key of `config.INIT_PARTS`.

  Raises:
    ValueError: the source has no such parts.
  """
  if not source:
    return None
  # Configs are read without JAX, for what is wrong with them to be told soon.
  from flax import traverse_util

  if is_folder(source):
    params = load_checkpoint(source)[1]
  else:
    from sclc_jax.codec.model.model_file import find_model

    params = find_model(source).params
  if parts == "all":
    return params
  names = INIT_PARTS[parts]
  for part, instead in (("quantizer", "base"), ("selector", "quantized")):
    if part in names and part not in params:
      raise ValueError(
        f"init_parts is {parts!r}, but init_from {source} has no {part}; take "
        f"init_parts={instead!r}."
      )
  flat = traverse_util.flatten_dict(params)
  return traverse_util.unflatten_dict(
    {path: leaf for path, leaf in flat.items() if belongs(path, names)}
  )


def load_checkpoint(
  workdir: str | os.PathLike, step: int | None = None, best: bool = False
) -> tuple[ModelConfig, Any, Objective]:
  """(model config, parameters, objective) of a workdir's checkpoint.

  Args:
    workdir: of a training run.
    step: the latest if None.
    best: the one that validated best instead.

  Raises:
    ValueError: there is no such checkpoint.
  """
  from sclc_jax.train.checkpoint import open_checkpoint
  from sclc_jax.train.stages import stage_at
  from sclc_jax.train.state import restore_state, trained_params

  checkpoints, step = open_checkpoint(workdir, step, best)
  config = from_dict(checkpoints.meta(step)["config"])
  stage = stage_at(config, step)
  state = restore_state(checkpoints, step, config, stage)
  checkpoints.close()
  model = stage_model(config, stage.name)
  return model, trained_params(state), config.train.objective
