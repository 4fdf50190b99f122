"""The state of a stage: as checkpoints hold it, and as its steps take it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sclc_jax.config import ExperimentConfig, stage_model
from sclc_jax.models.variable_rate import init_params, params_shapes
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.fast_start import strongest_channels
from sclc_jax.train.optim import join, optimizer, packing, split
from sclc_jax.train.stages import Stage
from sclc_jax.train.transfer import merge


def new_state(
  config: ExperimentConfig, stage: Stage, params: Any | None
) -> dict[str, Any]:
  """State at a stage's start: known parameters kept, moments fresh."""
  fresh = init_params(stage_model(config, stage.name), config.seed)
  synthesis = (params or {}).get("base", {}).get("synthesis")
  if "fast_synthesis" in fresh and synthesis is not None:
    fresh["fast_synthesis"] = strongest_channels(
      fresh["fast_synthesis"], synthesis
    )
  params = fresh if params is None else merge(fresh, params)
  return _state_of(params, config=config, stage=stage)


@functools.partial(jax.jit, static_argnames=("config", "stage"))
def _state_of(
  params: Any, config: ExperimentConfig, stage: Stage
) -> dict[str, Any]:
  """Compiled whole: one program is compiled sooner than one for each shape."""
  state = {
    "params": params,
    "opt_state": stage_optimizer(config, stage).init(
      packing(config, stage).pack(split(config, stage, params)[0])
    ),
    "skipped": jnp.zeros((), jnp.int32),
  }
  if config.optim.ema_decay:
    state["ema"] = params
  return state


def stage_optimizer(
  config: ExperimentConfig, stage: Stage
) -> optax.GradientTransformation:
  """What updates the packed parameters of a stage."""
  return optimizer(config, stage, packing(config, stage))


def pack_state(
  config: ExperimentConfig, stage: Stage, state: dict[str, Any]
) -> dict[str, Any]:
  """A state as steps take it: packed, and what is frozen is there once."""
  packed = {key: state[key] for key in ("opt_state", "skipped")}
  trained, packed["frozen"] = split(config, stage, state["params"])
  packed["trained"] = packing(config, stage).pack(trained)
  if "ema" in state:
    trained, _ = split(config, stage, state["ema"])
    packed["ema"] = packing(config, stage).pack(trained)
  return packed


def unpack_state(
  config: ExperimentConfig, stage: Stage, packed: dict[str, Any]
) -> dict[str, Any]:
  """The state that `pack_state` has taken, as checkpoints hold it."""

  def params(trained):
    return join(packing(config, stage).unpack(trained), packed["frozen"])

  state = {key: packed[key] for key in ("opt_state", "skipped")}
  state["params"] = params(packed["trained"])
  if "ema" in packed:
    state["ema"] = params(packed["ema"])
  return state


def restore_state(
  checkpoints: Checkpoints, step: int, config: ExperimentConfig, stage: Stage
) -> dict[str, Any]:
  """The state that a run of `config` saved at `step`, which is of `stage`."""
  return checkpoints.restore(step, state_shapes(config, stage))[0]


def state_shapes(config: ExperimentConfig, stage: Stage) -> dict[str, Any]:
  """Shapes of a stage's state, as of `jax.eval_shape`."""
  return jax.eval_shape(
    functools.partial(_state_of, config=config, stage=stage),
    params_shapes(stage_model(config, stage.name)),
  )


def trained_params(state: dict[str, Any]) -> Any:
  """What a state offers for export: the averaged parameters if it has them."""
  return state.get("ema", state["params"])
