"""Makes a frozen model from trained parameters, or from another frozen model.

It holds float parameters (rounded to float16), the integer control path, and
integer tables of z (and of y where they are the model's own): a pure function
of the checkpoint, and of the photographs that tables were fitted to.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from sclc_jax.codec.entropy.range_coder import RangeTables
from sclc_jax.codec.entropy.tables import (
  build_factorized_tables,
  build_mixture_tables,
  gaussian_tables,
)
from sclc_jax.codec.exact.context import build_context_path
from sclc_jax.codec.exact.control import Z_MAX, build_control_path, interpolate
from sclc_jax.codec.model.codec_model import (
  CodecModel,
  flatten,
  unflatten,
  with_fingerprint,
)
from sclc_jax.config import LARGE_KERNEL, ModelConfig, Objective

_TAIL = 2.0**-10  # mass of z left to the escape code, each side
# Large kernels are rounded to steps of about this part of each channel's root
# mean square, in powers of two, so that a file packs better.
_KERNEL_STEP = 2.0**-5.5
# Deviation of a learned density of y, in predicted scales, to within sqrt(2):
# tables go from scales of 0.11 to 256, and steps of y deviate by up to 100.
_DEVIATION = 0.5


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
    for path, value in flatten(params, "params").items()
  }
  for path, value in flat.items():
    if not np.isfinite(value).all():
      raise ValueError(
        f"parameter {path} is not finite in float16; export an earlier step."
      )
  stored = unflatten(flat)["params"]
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
  tables = model.apply({"params": params}, method="quantizer_tables")
  qv, iqv = map(np.asarray, tables)
  head = gamma = None
  if config.selective:
    head = params["selector"]["head"]
    gamma = np.asarray(model.apply({"params": params}, method="curves"))
  control = build_control_path(
    params["base"]["hyper_synthesis"],
    qv,
    head,
    gamma,
    config.predicts_mean,
    params["base"].get("context_model"),
  )
  steps = np.stack([interpolate(qv), interpolate(iqv)]).astype(np.float32)
  context = None
  if config.has_context:
    context = build_context_path(
      config.base, params["base"]["context_model"], steps[1]
    )
  own = None
  if config.density != "normal":
    own = density_tables(config, params)
  return with_fingerprint(
    CodecModel(
      config, params, control, z_tables, steps, b"", context, own, objective
    )
  )


def _round_kernel(value: np.ndarray) -> np.ndarray:
  """A large kernel [H, W, I, O] in its steps; others as they are."""
  if value.ndim != 4 or value.size < LARGE_KERNEL:
    return value
  rms = np.sqrt(np.mean(np.square(value, dtype=np.float64), (0, 1, 2)))
  # float16 has no finer steps.
  wanted = np.maximum(rms * _KERNEL_STEP, 2.0**-24)
  step = np.exp2(np.round(np.log2(wanted)))
  return (np.round(value / step) * step).astype(np.float32)


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
  gives = "context_model" if config.has_context else "hyper_synthesis"
  layer = base[gives]["conv_2"]  # means come first, where there are some
  factor = np.ones(np.shape(layer["bias"]), np.float32)
  factor[-config.M :] = 2.0**bits
  layer = {key: value * factor for key, value in layer.items()}
  base[gives] = {**base[gives], "conv_2": layer}
  return {**params, "base": base, "density": density}


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
  return with_fingerprint(dataclasses.replace(model, fitted=fitted))


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
