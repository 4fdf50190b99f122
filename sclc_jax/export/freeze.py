"""Makes a frozen model from trained parameters, or from another frozen model.

A frozen model holds float parameters (rounded to float16), the integer control
path, and integer tables of z (and of y, if it does not use the Gaussian ones).
Only the checkpoint decides them, and the photographs that tables were fitted
to.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from sclc_jax.codec import elementary
from sclc_jax.codec.entropy.range_coder import RangeTables
from sclc_jax.codec.exact.context import build_context_path
from sclc_jax.codec.exact.control import build_control_path, interpolate
from sclc_jax.codec.model.codec_model import (
  CodecModel,
  flatten,
  unflatten,
  with_fingerprint,
)
from sclc_jax.config import LARGE_KERNEL, ModelConfig, Objective
from sclc_jax.export.density import y_mixture, y_tables, z_tables

# Large kernels are rounded to units of about this part of each channel's root
# mean square, in powers of two, so that a file packs better.
_KERNEL_UNIT = 2.0**-5.5
_FAST_KERNEL_UNIT = 2.0**-8  # of the shallow synthesis: 2^-5.5 took 0.06 dB
# Deviation of a learned density of y, in predicted scales, to within sqrt(2):
# tables go from scales of 0.11 to 256, and symbols of y deviate by up to 100.
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
  params = dict(params)
  fast = params.pop("fast_synthesis", None)
  if rescale:
    params = _scaled(config, params)
  model = _frozen(dataclasses.replace(config, fast=False), params, objective)
  if fast is None:
    return model
  fast = as_stored(fast, _FAST_KERNEL_UNIT)
  return dataclasses.replace(model, fast=fast)


def with_fast_of(model: CodecModel, params: dict[str, Any]) -> CodecModel:
  """The same model with a shallow synthesis that was trained for it.

  Args:
    model: a frozen model.
    params: of a run that started from it and trained the stage `fast`.

  Raises:
    ValueError: the run has none, or trained it for another model.
  """
  if "fast_synthesis" not in params:
    raise ValueError(
      "the run has no fast decoder; train its stage 'fast' "
      "(config.stages.fast.steps)."
    )
  for part in (("base", "analysis"), ("quantizer",)):
    ours, trained = model.params, params
    for key in part:
      ours, trained = ours.get(key, {}), trained.get(key, {})
    old, new = flatten(ours, ""), flatten(as_stored(trained), "")
    if old.keys() != new.keys() or not all(
      np.array_equal(old[key], new[key]) for key in old
    ):
      raise ValueError(
        f"the run's {part[-1]} is not that of model {model.fingerprint.hex()}, "
        "so that its fast decoder knows other latents; give init_from that "
        "model."
      )
  fast = as_stored(params["fast_synthesis"], _FAST_KERNEL_UNIT)
  return dataclasses.replace(model, fast=fast)


def as_stored(
  params: dict[str, Any], share: float = _KERNEL_UNIT
) -> dict[str, Any]:
  """Parameters as a file keeps them, in float32.

  Args:
    params: nested dict of arrays.
    share: unit of large kernels, in root mean squares of a channel.

  Raises:
    ValueError: one is not finite.
  """
  flat = {
    path: _round_kernel(np.asarray(value, np.float32), share).astype(np.float16)
    for path, value in flatten(params, "params").items()
  }
  for path, value in flat.items():
    if not np.isfinite(value).all():
      raise ValueError(
        f"parameter {path} is not finite in float16; export an earlier step."
      )
  floats = {path: value.astype(np.float32) for path, value in flat.items()}
  return unflatten(floats)["params"]


def _frozen(
  config: ModelConfig, params: dict[str, Any], objective: Objective | None
) -> CodecModel:
  from sclc_jax.models.variable_rate import VariableRate

  params = as_stored(params)
  tables = VariableRate(config).apply(
    {"params": params}, method="quantizer_tables"
  )
  qv, iqv = (np.asarray(table) for table in tables)
  head = gamma = None
  if config.selective:
    head = params["selector"]["head"]
    gamma = _curves(config, params)
  control = build_control_path(
    params["base"]["hyper_synthesis"],
    qv,
    head,
    gamma,
    config.predicts_mean,
    params["base"].get("context_model"),
  )
  qvs, iqvs = (interpolate(t).astype(np.float32) for t in (qv, iqv))
  context = None
  if config.has_context:
    context = build_context_path(
      config.base, params["base"]["context_model"], iqvs
    )
  own = None
  if config.density != "normal":
    own = y_tables(config, params)
  return with_fingerprint(
    CodecModel(
      config,
      params,
      control,
      z_tables(params["base"]["entropy_bottleneck"]),
      qvs,
      iqvs,
      b"",
      context,
      own,
      objective=objective,
    )
  )


def _curves(config: ModelConfig, params: dict[str, Any]) -> np.ndarray:
  """As `VariableRate.curves`, the same on every machine; float64 [L, M]."""
  from sclc_jax.models.variable_rate import VariableRate

  gamma = VariableRate(config).apply(
    {"params": params}, method=lambda model: model.selector.curves()
  )
  half, threshold = elementary.log([0.5, config.mask_threshold])
  return half / threshold * np.asarray(gamma, np.float64)


def _round_kernel(
  value: np.ndarray, share: float = _KERNEL_UNIT
) -> np.ndarray:
  """A large kernel [H, W, I, O] in whole units; others as they are."""
  if value.ndim != 4 or value.size < LARGE_KERNEL:
    return value
  squares = np.square(value.reshape(-1, value.shape[-1]), dtype=np.float64)
  total = np.cumsum(squares, 0)[-1]  # in order, on any machine
  rms = np.sqrt(total / len(squares))
  # float16 has no finer units.
  wanted = np.maximum(rms * share, 2.0**-24)
  # The power of two nearest in logarithm.
  unit = np.ldexp(1.0, elementary.floor_log2(wanted * wanted * 2) // 2)
  return (np.round(value / unit) * unit).astype(np.float32)


def _scaled(config: ModelConfig, params: dict[str, Any]) -> dict[str, Any]:
  """The same model, with scales of y that the range of the tables suits.

  Scales times a number and multiples over it are the same density, so that
  training lets them drift. The number is a power of two: nothing is rounded.
  """
  if config.density == "normal":
    return params
  weights, multiples = y_mixture(config, params)
  deviation = np.sqrt(elementary.total(weights * multiples**2))
  ratio = elementary.log(deviation / _DEVIATION) / elementary.log(2.0)
  bits = float(np.round(ratio))
  density = dict(params["density"])
  logs = np.asarray(density["log_multiples"], np.float64)
  density["log_multiples"] = logs - bits * elementary.log(2.0)
  base = dict(params["base"])
  gives = "context_model" if config.has_context else "hyper_synthesis"
  layer = base[gives]["conv_2"]  # means come first, where there are some
  factor = np.ones(np.shape(layer["bias"]), np.float32)
  factor[-config.M :] = 2.0**bits
  layer = {key: value * factor for key, value in layer.items()}
  base[gives] = {**base[gives], "conv_2": layer}
  return {**params, "base": base, "density": density}


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
  frozen = dataclasses.replace(
    _frozen(config, params, model.objective),
    fitted=model.fitted,
    lowpass=model.lowpass,
    provenance=model.provenance,
    fast=model.fast,
  )
  return with_fingerprint(frozen)
