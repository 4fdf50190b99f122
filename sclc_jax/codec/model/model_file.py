"""The .sclcm file, which holds a frozen model.

It has the arrays of a model, its config and its fingerprint. If it names a
parent, a shipped model, it has only the arrays that differ (docs/format.md).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from sclc_jax.buckets import to_path
from sclc_jax.codec.entropy.range_coder import RangeTables
from sclc_jax.codec.entropy.tables import SCALES
from sclc_jax.codec.exact.context import (
  ContextPath,
  IntegerDense,
  integer_iqv,
  layer_shapes,
)
from sclc_jax.codec.exact.control import (
  Q_PER_LEVEL,
  ControlPath,
  IntegerConv,
)
from sclc_jax.codec.exact.lowpass import LowPass
from sclc_jax.codec.model.codec_model import (
  CodecModel,
  fingerprint_of,
  flatten,
  model_tensors,
  stored_config,
  unflatten,
)
from sclc_jax.codec.model.fast_file import with_fast
from sclc_jax.codec.model.preview_file import read_preview, write_preview
from sclc_jax.codec.model.shipped import (
  find_file,
  known_file,
  shipped_models,
)
from sclc_jax.codec.model.tensor_file import (
  checked,
  read_about,
  read_tensors,
  write_tensors,
)
from sclc_jax.config import ModelConfig, Objective, from_dict

# 1 and 2 were not packed, 2 has tables of y of its own, 4 has tables packed as
# differences and may leave out what another model has, 5 has low-pass
# prediction, 6 a conditional synthesis; both are written where a model has it.
VERSION = 6


def save_model(
  model: CodecModel,
  path: str | os.PathLike,
  parent: CodecModel | None = None,
) -> None:
  """Writes an .sclcm file, whole or not at all, and its preview beside it.

  Args:
    model: to write.
    path: of the file.
    parent: a shipped model, of which the file then holds the fingerprint
      instead of every array that both have alike.

  Raises:
    ValueError: the parent is not known, or has what the model lacks.
  """
  about = {
    "version": _version_of(model),
    "fingerprint": model.fingerprint.hex(),
    "model": stored_config(model.config),
  }
  if model.objective is not None:
    about["objective"] = dataclasses.asdict(model.objective)
  if model.provenance:
    about["provenance"] = list(model.provenance)
  tensors = model_tensors(model)
  if parent is not None:
    about["parent"] = parent.fingerprint.hex()
    tensors = _changes(tensors, parent, path)
  write_tensors(path, about, tensors)
  if model.preview is not None:
    write_preview(path, model.fingerprint, model.preview)


def _version_of(model: CodecModel) -> int:
  """The lowest that can hold a model, for the sake of older readers."""
  if model.config.conditional:
    return 6
  return 4 if model.lowpass is None else 5


def _changes(
  tensors: dict[str, np.ndarray], parent: CodecModel, path: str | os.PathLike
) -> dict[str, np.ndarray]:
  """Those of a model's arrays that its parent has otherwise."""
  name = parent.fingerprint.hex()
  shipped = known_file(name)
  if shipped is None or shipped[0] not in shipped_models():
    raise ValueError(
      f"parent {name} is not a shipped model, so that nobody could read what "
      "refers to it; 'sclc models' lists those that are."
    )
  if to_path(path).resolve() == shipped[1].resolve():
    raise ValueError(
      f"{path} is the file of the parent itself; write to another."
    )
  known = model_tensors(parent)
  lacking = sorted(known.keys() - tensors.keys())
  if lacking:
    raise ValueError(
      f"parent {name} has {lacking[0]}, which the model lacks; take a parent "
      "of the same kind, or none, or give the model a selector "
      "(--fit-selector) where that is what it lacks."
    )

  def same(value: np.ndarray, other: np.ndarray | None) -> bool:
    """To the bit, as the fingerprint has it: a zero has a sign."""
    return (
      other is not None
      and (value.dtype, value.shape) == (other.dtype, other.shape)
      and value.tobytes() == other.tobytes()
    )

  return {
    key: value
    for key, value in tensors.items()
    if not same(value, known.get(key))
  }


def read_model(path: str | os.PathLike, fast: bool = False) -> CodecModel:
  """Reads an .sclcm file.

  Args:
    path: of the file.
    fast: reads the shallow synthesis beside it as well.

  Raises:
    ValueError: one of them is missing or damaged.
  """
  model = _read_model(pathlib.Path(path))
  return with_fast(model, path) if fast else model


def _read_model(path: pathlib.Path) -> CodecModel:
  with checked(path):
    meta = read_about(path)
    if meta["version"] > VERSION:
      raise ValueError(
        f"{path} has model format {meta['version']}, this program reads up "
        f"to {VERSION}; update sclc_jax."
      )
    config = from_dict(meta["model"], ModelConfig)
    tensors = _with_parent(path, meta)
    if fingerprint_of(config, tensors).hex() != meta["fingerprint"]:
      raise KeyError("fingerprint")
    model = _from_tensors(config, tensors, bytes.fromhex(meta["fingerprint"]))
    return dataclasses.replace(
      model,
      objective=_objective(meta),
      provenance=_provenance(meta),
      preview=read_preview(path, model.fingerprint, config.N),
    )


def _objective(meta: dict[str, Any]) -> Objective | None:
  if "objective" not in meta:
    return None
  known = {field.name for field in dataclasses.fields(Objective)}
  return Objective(**{k: v for k, v in meta["objective"].items() if k in known})


def _provenance(meta: dict[str, Any]) -> tuple[dict[str, Any], ...]:
  runs = meta.get("provenance", [])
  if not isinstance(runs, list) or not all(isinstance(r, dict) for r in runs):
    raise KeyError("provenance")
  return tuple(runs)


def _with_parent(
  path: pathlib.Path, meta: dict[str, Any]
) -> dict[str, np.ndarray]:
  """The arrays of a file, and those that it leaves to its parent."""
  tensors = read_tensors(path)
  if "parent" not in meta:
    return tensors
  parent = known_file(meta["parent"])
  if parent is None:
    raise ValueError(
      f"{path} holds what differs from model {meta['parent']}, which is not "
      "among the shipped ones; update sclc_jax."
    )
  return {**_with_parent(parent[1], read_about(parent[1])), **tensors}


def _from_tensors(config, tensors, fingerprint) -> CodecModel:
  tree = unflatten(tensors)
  control = tree["control"]
  count = 4 if config.has_context else 3
  convs = tuple(IntegerConv(**control[str(i)]) for i in range(count))
  head = IntegerConv(**control["head"]) if "head" in control else None
  path = ControlPath(
    convs,
    head,
    control["thresholds"],
    control["reciprocals"],
    config.predicts_mean,
  )
  _check_control(config, path, tree["steps"])
  context = None
  if config.has_context:
    layers = [  # copies, as numba takes no arrays that are read-only
      IntegerDense(**{k: v.copy() for k, v in control[f"context_{i}"].items()})
      for i in range(4)
    ]
    # Compiled code reads these without a look at their size.
    for i, shape in enumerate(layer_shapes(config.base, config.M)):
      _check_layer(f"context_{i}", layers[i], shape, shape[1])
    context = ContextPath(
      config.base, tuple(layers), integer_iqv(tree["steps"][1])
    )
  params = unflatten(
    {k: v.astype(np.float32) for k, v in flatten(tree["params"], "p").items()}
  )["p"]
  z_tables = _tables(tree, "z_tables", config.N)
  fitted = None
  if "y_tables" in tree:
    fitted = _tables(tree, "y_tables", len(SCALES))
  lowpass = None
  if "lowpass" in tree:
    lowpass = LowPass(**tree["lowpass"])
    if config.base != "hyperprior" or not lowpass.is_valid(config.M):
      raise KeyError("lowpass")
  return CodecModel(
    config,
    params,
    path,
    z_tables,
    *tree["steps"],
    fingerprint,
    context,
    fitted,
    lowpass,
  )


def _tables(tree: dict[str, Any], name: str, count: int) -> RangeTables:
  tables = RangeTables(**tree[name])
  if not tables.is_valid(count):
    raise KeyError(name)
  return tables


def _check_control(
  config: ModelConfig, path: ControlPath, quantizer: np.ndarray
) -> None:
  """Coding indexes these without a look at their size."""
  N, M = config.N, config.M
  wide, features, out = (M, 3 * M // 2, 2 * M) if path.signed else (N, N, M)
  shapes = [(5, 5, N, wide), (5, 5, wide, features), (3, 3, features, out)]
  if config.has_context:
    shapes.append((1, 1, out, layer_shapes(config.base, M)[1][1]))
  for i, (conv, shape) in enumerate(zip(path.convs, shapes, strict=True)):
    _check_layer(str(i), conv, shape, shape[-1])
  if path.head is not None:
    _check_layer("head", path.head, (1, 1, features, M), M)
  table = Q_PER_LEVEL * (config.levels - 1) + 1, M
  for name, shape, wanted in (
    ("control/thresholds", path.thresholds.shape, table),
    ("control/reciprocals", path.reciprocals.shape, table),
    ("steps", quantizer.shape, (2, *table)),
  ):
    if shape != wanted:
      raise KeyError(name)


def _check_layer(
  name: str,
  layer: IntegerConv | IntegerDense,
  shape: tuple[int, ...],
  outputs: int,
) -> None:
  sizes = layer.weight.shape, layer.bias.shape, layer.shift.shape
  if sizes != (shape, (outputs,), (outputs,)):
    raise KeyError(f"control/{name}")


def find_shipped(
  fingerprint: bytes, fast: bool = False
) -> tuple[str, CodecModel] | None:
  """Name and model of the shipped one that has this fingerprint, if any.

  Args:
    fingerprint: of the model.
    fast: see `read_model`.
  """
  shipped = known_file(fingerprint.hex())
  return shipped and (shipped[0], read_model(shipped[1], fast))


def find_model(
  path_or_name: str | None = None, fast: bool = False
) -> CodecModel:
  """A model by path or shipped name; the default one without either.

  Args:
    path_or_name: an .sclcm file, or a shipped name.
    fast: see `read_model`.
  """
  return read_model(find_file(path_or_name), fast)
