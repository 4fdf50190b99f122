"""The .sclcm file: a trained model frozen for coding.

Float parameters (float16), the integer control path, integer tables of z (and
of y where they are the model's own), the config and a fingerprint. A pure
function of the checkpoint, and of the photographs that tables were fitted to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import json
import os
import pathlib
from typing import Any

import numpy as np

from sclc_jax.codec.bitstream import FINGERPRINT_BYTES
from sclc_jax.codec.context import (
  ContextPath,
  IntegerDense,
  build_context_path,
  inverse_steps,
  layer_shapes,
)
from sclc_jax.codec.control import (
  STEPS_PER_LEVEL,
  Z_MAX,
  ControlPath,
  IntegerConv,
  build_control_path,
  interpolate,
)
from sclc_jax.codec.range_coder import RangeTables
from sclc_jax.codec.tables import (
  SCALES,
  build_factorized_tables,
  build_mixture_tables,
  gaussian_tables,
)
from sclc_jax.codec.tensor_file import (
  DamagedTensorsError,
  read_about,
  read_tensors,
  write_tensors,
)
from sclc_jax.config import LARGE_KERNEL, ModelConfig, Objective, from_dict
from sclc_jax.models.context import TAPS

# 1 and 2 were not packed, 2 has tables of y of its own, 4 has tables packed as
# differences and may leave out what another model has.
VERSION = 4
DEFAULT_MODEL = "hyperprior-mse"
_FIRST_KEYS = frozenset(
  ("base", "N", "M", "levels", "adaptive", "selective", "init",
   "importance_bias", "table_init")
)  # fmt: skip
_TAIL = 2.0**-10  # mass of z left to the escape code, each side
# Large kernels are rounded to steps of about this part of each channel's root
# mean square, in powers of two, so that a file packs better.
_KERNEL_STEP = 2.0**-5.5
# Deviation of a learned density of y, in predicted scales, to within sqrt(2):
# tables go from scales of 0.11 to 256, and steps of y deviate by up to 100.
_DEVIATION = 0.5


@dataclasses.dataclass(frozen=True)
class CodecModel:
  """A frozen model.

  Attributes:
    config: what is built.
    params: nested dict of float32 parameters (rounded to float16 once).
    control: the integer control path.
    z_tables: range coder tables of z, one a channel.
    steps: float32 [2, Q, M], QV and IQV for each 64th of a level.
    fingerprint: first bytes of the SHA-256 of all of it.
    context: the integer context model, of the bases that have one.
    fitted: tables of y of this model's own, where they are not the Gaussian
      ones that all models share.
    objective: what it was trained for, which an encoder's search needs; None
      where that is not known. No decoder needs it, so the fingerprint does not
      cover it.
  """

  config: ModelConfig
  params: dict[str, Any]
  control: ControlPath
  z_tables: RangeTables
  steps: np.ndarray
  fingerprint: bytes
  context: ContextPath | None = None
  fitted: RangeTables | None = None
  objective: Objective | None = None

  @property
  def y_tables(self) -> RangeTables:
    """Range coder tables of y, one a scale of `tables.SCALES`."""
    return gaussian_tables() if self.fitted is None else self.fitted

  @property
  def top_quality(self) -> int:
    """The highest quality level."""
    return self.config.levels


def _flatten(tree: Any, prefix: str) -> dict[str, np.ndarray]:
  if not isinstance(tree, dict):
    return {prefix: np.ascontiguousarray(tree)}
  flat = {}
  for key in sorted(tree):
    flat |= _flatten(tree[key], f"{prefix}/{key}")
  return flat


def _unflatten(flat: dict[str, np.ndarray]) -> dict[str, Any]:
  tree: dict[str, Any] = {}
  for path, value in flat.items():
    *parents, leaf = path.split("/")
    node = tree
    for key in parents:
      node = node.setdefault(key, {})
    node[leaf] = value
  return tree


def z_support(masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """First and last symbol of each channel's table.

  Args:
    masses: [2 Z_MAX + 1, C] of the integers from -Z_MAX on.
  """
  below = np.cumsum(masses, 0)
  above = np.cumsum(masses[::-1], 0)
  lower = (below < _TAIL).sum(0) - Z_MAX
  upper = Z_MAX - (above < _TAIL).sum(0)
  lower = np.minimum(lower, Z_MAX)
  return lower.astype(np.int32), np.maximum(lower, upper).astype(np.int32)


def freeze(
  config: ModelConfig,
  params: dict[str, Any],
  objective: Objective | None = None,
  rescale: bool = True,
) -> CodecModel:
  """Turns trained parameters into a codec model.

  Args:
    config: of the stage whose parameters they are.
    params: nested dict of arrays.
    objective: what they were trained for.
    rescale: scales of y come in units that suit the tables; a model that shares
      the kernel that gives them with its parent keeps the parent's.
  """
  if rescale:
    params = _scaled(config, params)
  return _frozen(config, params, objective)


def _frozen(
  config: ModelConfig, params: dict[str, Any], objective: Objective | None
) -> CodecModel:
  import jax
  import jax.numpy as jnp

  from sclc_jax.models.variable_rate import VariableRate

  flat = {
    path: _round_kernel(np.asarray(value, np.float32)).astype(np.float16)
    for path, value in _flatten(params, "params").items()
  }
  for path, value in flat.items():
    if not np.isfinite(value).all():
      raise ValueError(
        f"parameter {path} is not finite in float16; export an earlier step."
      )
  stored = _unflatten(flat)["params"]
  params = jax.tree.map(lambda a: a.astype(np.float32), stored)
  model = VariableRate(config)

  def likelihood(positions: np.ndarray) -> np.ndarray:
    positions = np.asarray(positions, np.float32)
    if positions.ndim == 1:
      positions = positions[:, None]
    z = jnp.broadcast_to(positions, (positions.shape[0], config.N))
    masses = model.apply({"params": params}, z, method="z_likelihood")
    return np.asarray(masses, np.float64)

  lower, upper = z_support(likelihood(np.arange(-Z_MAX, Z_MAX + 1)))
  z_tables = build_factorized_tables(likelihood, lower, upper)
  qv, iqv = (
    np.asarray(t) for t in model.apply({"params": params}, method="steps")
  )
  head = gamma = None
  if config.selective:
    head = params["selector"]["head"]
    gamma = np.asarray(model.apply({"params": params}, method="curves"))
  control = build_control_path(
    params["base"]["hyper_synthesis"],
    qv,
    head,
    gamma,
    _signed(config),
    params["base"].get("context_model"),
  )
  steps = np.stack([interpolate(qv), interpolate(iqv)]).astype(np.float32)
  context = None
  if config.base in TAPS:
    context = build_context_path(
      config.base, params["base"]["context_model"], steps[1]
    )
  own = None
  if config.density != "normal":
    own = density_tables(config, params)
  return _with_fingerprint(
    CodecModel(
      config, params, control, z_tables, steps, b"", context, own, objective
    )
  )


def _scaled(config: ModelConfig, params: dict[str, Any]) -> dict[str, Any]:
  """The same model, with scales of y that the range of the tables suits.

  Scales times a number and multiples over it are the same density, so that
  training lets them drift. The number is a power of two: nothing is rounded.
  """
  if config.density == "normal":
    return params
  weights, multiples = y_mixture(config, params)
  deviation = np.sqrt(weights @ multiples**2)
  bits = np.round(np.log2(deviation / _DEVIATION))
  density = dict(params["density"])
  density["log_multiples"] = density["log_multiples"] - bits * np.log(2)
  base = dict(params["base"])
  gives = "context_model" if config.base in TAPS else "hyper_synthesis"
  layer = base[gives]["conv_2"]  # means come first, where there are some
  factor = np.ones(np.shape(layer["bias"]), np.float32)
  factor[-config.M :] = 2.0**bits
  layer = {key: value * factor for key, value in layer.items()}
  base[gives] = {**base[gives], "conv_2": layer}
  return {**params, "base": base, "density": density}


def _round_kernel(value: np.ndarray) -> np.ndarray:
  """A large kernel [H, W, I, O] in its steps; others as they are."""
  if value.ndim != 4 or value.size < LARGE_KERNEL:
    return value
  rms = np.sqrt(np.mean(np.square(value, dtype=np.float64), (0, 1, 2)))
  # float16 has no finer steps.
  wanted = np.maximum(rms * _KERNEL_STEP, 2.0**-24)
  step = np.exp2(np.round(np.log2(wanted)))
  return (np.round(value / step) * step).astype(np.float32)


def density_tables(config: ModelConfig, params: dict[str, Any]) -> RangeTables:
  """Tables of y as the trained density has them."""
  if config.density == "normal":
    return gaussian_tables()
  return build_mixture_tables(*y_mixture(config, params))


def y_mixture(
  config: ModelConfig, params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
  """(weights, multiples of the scale), float64 [K], of the density of y."""
  if config.density == "normal":
    return np.ones(1), np.ones(1)
  from sclc_jax.models.variable_rate import VariableRate

  found = VariableRate(config).apply({"params": params}, method="y_mixture")
  weights, multiples = (np.asarray(a, np.float64) for a in found)
  return weights, multiples


def with_tables(model: CodecModel, fitted: RangeTables) -> CodecModel:
  """The model with tables of y of its own: another one, to its files."""
  return _with_fingerprint(dataclasses.replace(model, fitted=fitted))


def with_mask_threshold(model: CodecModel, threshold: float) -> CodecModel:
  """The model with another `mask_threshold`: another one, to its files.

  Args:
    model: a frozen model with a selector.
    threshold: see `config.ModelConfig.mask_threshold`; a lower one codes more.
  """
  if not model.config.selective:
    raise ValueError(
      f"model {model.fingerprint.hex()} has no selector, so mask_threshold "
      f"{threshold} would change nothing; leave it out."
    )
  return with_selector(
    model, model.params["selector"], mask_threshold=threshold
  )


def with_selector(
  model: CodecModel, selector: dict[str, Any] | None, **changes: Any
) -> CodecModel:
  """The model with a selector, or another one: another one, to its files.

  Args:
    model: a frozen model.
    selector: parameters of `models.selective.Selector`, or None to select all.
    **changes: of `config.ModelConfig`, where the selector needs some.
  """
  selective = selector is not None
  config = dataclasses.replace(model.config, selective=selective, **changes)
  params = {k: part for k, part in model.params.items() if k != "selector"}
  if selective:
    params["selector"] = selector
  frozen = _frozen(config, params, model.objective)
  return frozen if model.fitted is None else with_tables(frozen, model.fitted)


def _signed(config: ModelConfig) -> bool:
  """Whether hyper_synthesis is that of the Mean-scale paper."""
  return config.base != "hyperprior"


def _tensors(model: CodecModel) -> dict[str, np.ndarray]:
  flat = {
    path: value.astype(np.float16)
    for path, value in _flatten(model.params, "params").items()
  }
  convs = dict(enumerate(model.control.convs))
  if model.control.head is not None:
    convs["head"] = model.control.head
  if model.context is not None:
    for i, layer in enumerate(model.context.layers):
      convs[f"context_{i}"] = layer
  for name, conv in convs.items():
    for field in dataclasses.fields(conv):
      flat[f"control/{name}/{field.name}"] = getattr(conv, field.name)
  flat["control/thresholds"] = model.control.thresholds
  flat["control/reciprocals"] = model.control.reciprocals
  flat["z_tables/cdf"] = model.z_tables.cdf
  flat["z_tables/cdf_offset"] = model.z_tables.cdf_offset
  flat["steps"] = model.steps
  if model.fitted is not None:
    flat["y_tables/cdf"] = model.fitted.cdf
    flat["y_tables/cdf_offset"] = model.fitted.cdf_offset
  return flat


def _described(config: ModelConfig) -> dict[str, Any]:
  """The config as stored: keys of later releases only where they are set.

  So a new key does not change the fingerprint of older models.
  """
  return {
    field.name: getattr(config, field.name)
    for field in dataclasses.fields(ModelConfig)
    if field.name in _FIRST_KEYS or getattr(config, field.name) != field.default
  }


def _fingerprint(config: ModelConfig, tensors: dict[str, np.ndarray]) -> bytes:
  digest = hashlib.sha256(
    json.dumps(_described(config), sort_keys=True).encode()
  )
  for name in sorted(tensors):
    value = np.ascontiguousarray(tensors[name])
    digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
    digest.update(value.tobytes())
  return digest.digest()[:FINGERPRINT_BYTES]


def _with_fingerprint(model: CodecModel) -> CodecModel:
  return dataclasses.replace(
    model, fingerprint=_fingerprint(model.config, _tensors(model))
  )


def save_model(
  model: CodecModel,
  path: str | os.PathLike,
  parent: CodecModel | None = None,
) -> None:
  """Writes an .sclcm file, whole or not at all.

  Args:
    model: to write.
    path: of the file.
    parent: a shipped model, of which the file then holds the fingerprint
      instead of every array that both have alike.

  Raises:
    ValueError: the parent is not shipped, or has what the model lacks.
  """
  about = {
    "version": VERSION,
    "fingerprint": model.fingerprint.hex(),
    "model": _described(model.config),
  }
  if model.objective is not None:
    about["objective"] = dataclasses.asdict(model.objective)
  tensors = _tensors(model)
  if parent is not None:
    about["parent"] = parent.fingerprint.hex()
    tensors = _changes(tensors, parent, path)
  write_tensors(path, about, tensors)


def _changes(
  tensors: dict[str, np.ndarray], parent: CodecModel, path: str | os.PathLike
) -> dict[str, np.ndarray]:
  """Those of a model's arrays that its parent has otherwise."""
  name = parent.fingerprint.hex()
  found = _find_shipped(name)
  if found is None:
    raise ValueError(
      f"parent {name} is not a shipped model, so that nobody could read what "
      "refers to it; 'sclc models' lists those that are."
    )
  if pathlib.Path(path).resolve() == found[1].resolve():
    raise ValueError(
      f"{path} is the file of the parent itself; write to another."
    )
  known = _tensors(parent)
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


def read_model(path: str | os.PathLike) -> CodecModel:
  """Reads an .sclcm file; ValueError where it is missing or damaged."""
  path = pathlib.Path(path)
  if not path.is_file():
    raise ValueError(
      f"there is no model file {path}; 'sclc models' lists the shipped ones, "
      "'sclc export' makes one from a training run."
    )
  try:
    meta = read_about(path)
    if meta["version"] > VERSION:
      raise ValueError(
        f"{path} has model format {meta['version']}, this program reads up "
        f"to {VERSION}; update sclc_jax."
      )
    config = from_dict(meta["model"], ModelConfig)
    tensors = _with_parent(path, meta)
    if _fingerprint(config, tensors).hex() != meta["fingerprint"]:
      raise KeyError("fingerprint")
    model = _from_tensors(config, tensors, bytes.fromhex(meta["fingerprint"]))
    if "objective" not in meta:
      return model
    known = {field.name for field in dataclasses.fields(Objective)}
    objective = {k: v for k, v in meta["objective"].items() if k in known}
    return dataclasses.replace(model, objective=Objective(**objective))
  except (DamagedTensorsError, KeyError, TypeError) as error:
    raise ValueError(
      f"{path} is not a whole .sclcm model ({type(error).__name__}: {error}); "
      "copy or export it again."
    ) from None


def _with_parent(
  path: pathlib.Path, meta: dict[str, Any]
) -> dict[str, np.ndarray]:
  """The arrays of a file, and those that it leaves to its parent."""
  tensors = read_tensors(path)
  if "parent" not in meta:
    return tensors
  parent = _find_shipped(meta["parent"])
  if parent is None:
    raise ValueError(
      f"{path} holds what differs from model {meta['parent']}, which is not "
      "among the shipped ones; update sclc_jax."
    )
  return {**_with_parent(parent[1], read_about(parent[1])), **tensors}


def _from_tensors(config, tensors, fingerprint) -> CodecModel:
  tree = _unflatten(tensors)
  control = tree["control"]
  has_context = config.base in TAPS
  count = 4 if has_context else 3
  convs = tuple(IntegerConv(**control[str(i)]) for i in range(count))
  head = IntegerConv(**control["head"]) if "head" in control else None
  path = ControlPath(
    convs,
    head,
    control["thresholds"],
    control["reciprocals"],
    _signed(config),
  )
  _check_control(config, path, tree["steps"])
  context = None
  if has_context:
    layers = [  # copies, as numba takes no arrays that are read-only
      IntegerDense(**{k: v.copy() for k, v in control[f"context_{i}"].items()})
      for i in range(4)
    ]
    # Compiled code reads these without a look at their size.
    for i, shape in enumerate(layer_shapes(config.base, config.M)):
      _check_layer(f"context_{i}", layers[i], shape, shape[1])
    inverse = inverse_steps(tree["steps"][1])
    context = ContextPath(config.base, tuple(layers), inverse)
  params = _unflatten(
    {k: v.astype(np.float32) for k, v in _flatten(tree["params"], "p").items()}
  )["p"]
  z_tables = _tables(tree, "z_tables", config.N)
  fitted = None
  if "y_tables" in tree:
    fitted = _tables(tree, "y_tables", len(SCALES))
  return CodecModel(
    config,
    params,
    path,
    z_tables,
    tree["steps"],
    fingerprint,
    context,
    fitted,
  )


def _tables(tree: dict[str, Any], name: str, count: int) -> RangeTables:
  tables = RangeTables(**tree[name])
  if not tables.is_valid(count):
    raise KeyError(name)
  return tables


def _check_control(
  config: ModelConfig, path: ControlPath, steps: np.ndarray
) -> None:
  """Coding indexes these without a look at their size."""
  N, M = config.N, config.M
  wide, features, out = (M, 3 * M // 2, 2 * M) if path.signed else (N, N, M)
  shapes = [(5, 5, N, wide), (5, 5, wide, features), (3, 3, features, out)]
  if config.base in TAPS:
    shapes.append((1, 1, out, layer_shapes(config.base, M)[1][1]))
  for i, (conv, shape) in enumerate(zip(path.convs, shapes, strict=True)):
    _check_layer(str(i), conv, shape, shape[-1])
  if path.head is not None:
    _check_layer("head", path.head, (1, 1, features, M), M)
  table = STEPS_PER_LEVEL * (config.levels - 1) + 1, M
  for name, shape, wanted in (
    ("control/thresholds", path.thresholds.shape, table),
    ("control/reciprocals", path.reciprocals.shape, table),
    ("steps", steps.shape, (2, *table)),
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


def shipped_models() -> dict[str, pathlib.Path]:
  """Names and files of the models in the package."""
  folder = importlib.resources.files("sclc_jax.weights")
  return {
    pathlib.Path(str(entry)).stem: pathlib.Path(str(entry))
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sclcm")
  }


def find_shipped(fingerprint: bytes) -> tuple[str, CodecModel] | None:
  """Name and model of the shipped one that has this fingerprint, if any."""
  found = _find_shipped(fingerprint.hex())
  return found and (found[0], read_model(found[1]))


def _find_shipped(fingerprint: str) -> tuple[str, pathlib.Path] | None:
  for name, path in shipped_models().items():
    if read_about(path)["fingerprint"] == fingerprint:
      return name, path
  return None


def find_model(path_or_name: str | None = None) -> CodecModel:
  """A model by path or shipped name; the default one without either."""
  shipped = shipped_models()
  name = path_or_name or DEFAULT_MODEL
  if name in shipped:
    return read_model(shipped[name])
  if name.endswith(".sclcm") or os.sep in name:
    return read_model(name)
  raise ValueError(
    f"there is no model {name!r}; shipped are {', '.join(shipped) or 'none'}; "
    "else give the path of an .sclcm file."
  )
