"""Which parameters train in a stage, and how they are updated."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, path_aware_map, unflatten_dict

from sclc_jax.config import (
  LARGE_KERNEL,
  STAGES,
  ExperimentConfig,
  StageConfig,
  belongs,
  stage_model,
)
from sclc_jax.models.variable_rate import params_shapes
from sclc_jax.nn.gdn import LIMITS
from sclc_jax.train.packing import Packing, Path
from sclc_jax.train.soap import scale_by_soap
from sclc_jax.train.stages import Stage

# The few parameters beside those of the base model.
_ADDED = ("quantizer", "selector", "density")


def _is_table(path: Path) -> bool:
  """Whether a parameter is QV, IQV, or gamma of the curves (not GDN's)."""
  return path[0] in _ADDED and path[-1] in ("qv", "iqv", "gamma")


def _is_frozen(settings: StageConfig, path: Path, leaf: Any) -> bool:
  """Whether a stage leaves a parameter as it is, given the keys to it."""
  is_large = path[-1] == "kernel" and leaf.size >= LARGE_KERNEL
  if settings.small_only and is_large:
    return True
  return not belongs(path, settings.part_names)


def split(
  config: ExperimentConfig, stage: Stage, params: Any
) -> tuple[Any, Any]:
  """(parameters that train in the stage, those that are frozen), nested dicts.

  The one place that freezes. The gradient is taken of the first ones alone, and
  the optimizer knows no others, so nothing is computed for what is frozen.
  """
  settings = getattr(config.stages, stage.name)
  trained, frozen = {}, {}
  for path, leaf in flatten_dict(params).items():
    (frozen if _is_frozen(settings, path, leaf) else trained)[path] = leaf
  return unflatten_dict(trained), unflatten_dict(frozen)


def join(trained: Any, frozen: Any) -> Any:
  """The parameters that `split` has taken apart."""
  return unflatten_dict(flatten_dict(trained) | flatten_dict(frozen))


def _limit(path: Path) -> float:
  """The lowest value of a parameter that its gradient may leave."""
  if path[-2].startswith(("gdn", "igdn")):
    return LIMITS[path[-1]]
  return 0.0 if _is_table(path) else -np.inf


def hold_at_limits(packs: Packing, params: Any, grads: Any) -> Any:
  """Gradients without those that would lower a parameter below its limit.

  Only for the sum over a whole batch; see `nn.bounds.lower_limit`.

  Args:
    packs: how both are packed.
    params: those that train, packed.
    grads: likewise.
  """

  def hold(value, grad, limit):
    if np.all(limit == -np.inf):
      return grad
    return jnp.where((value >= limit) | (grad < 0), grad, 0.0)

  return jax.tree.map(hold, params, grads, packs.each(_limit))


def schedule(config: ExperimentConfig, stage: Stage) -> optax.Schedule:
  """Linear warm-up, then cosine decay to a fraction, within one stage."""
  lr = getattr(config.stages, stage.name).lr or config.optim.lr
  steps = stage.stop - stage.start
  warmup = min(config.optim.warmup_steps, steps // 2)
  return optax.warmup_cosine_decay_schedule(
    lr / max(warmup, 1) if warmup else lr,
    lr,
    warmup,
    max(steps, warmup + 1),
    lr * config.optim.final_lr_fraction,
  )


@functools.lru_cache(maxsize=len(STAGES))
def packing(config: ExperimentConfig, stage: Stage) -> Packing:
  """How the parameters that train in a stage are packed for it."""
  params = params_shapes(stage_model(config, stage.name))
  soap = config.optim.method == "soap"
  trained, _ = split(config, stage, params)
  return Packing.of(trained, lambda path: soap and path[-1] == "kernel")


def optimizer(
  config: ExperimentConfig, stage: Stage, packing: Packing
) -> optax.GradientTransformation:
  """Adam or SOAP, after clipping by the global norm where that is configured.

  It takes the packed form of the first result of `split`: clipping looks at
  what trains. Updates of QV, IQV and gamma of the curves, which are factors
  and differ tenfold between levels, are relative to their size. SOAP is for
  kernels; all else keeps Adam.

  Args:
    config: of the experiment.
    stage: that begins.
    packing: of the parameters.
  """
  scaling = adam = optax.scale_by_adam()
  if config.optim.method == "soap":
    kernels = scale_by_soap(every=config.optim.soap_every)
    scaling = optax.multi_transform(
      {"kernel": kernels, "other": adam},
      functools.partial(
        path_aware_map,
        lambda path, _: "kernel" if path[-1] == "kernel" else "other",
      ),
    )
  chain = [scaling, optax.scale_by_learning_rate(schedule(config, stage))]
  chain.append(_scale_by_kind(config.optim.added_lr_factor, packing))
  if config.optim.clip_norm:
    chain.insert(0, optax.clip_by_global_norm(config.optim.clip_norm))
  return optax.chain(*chain)


def _scale_by_kind(
  added: float, packing: Packing
) -> optax.GradientTransformation:
  """Multiplies updates of tables by their size, and of what is added."""
  factors = packing.each(lambda path: added if path[0] in _ADDED else 1.0)
  tables = packing.each(_is_table)

  def scale(update, value, factor, is_table):
    if np.any(is_table):
      size = jnp.maximum(jnp.abs(value), 0.05)
      update = update * jnp.where(is_table, size, 1.0)
    return update if np.all(factor == 1.0) else update * factor

  return optax.stateless(
    lambda updates, params: jax.tree.map(
      scale, updates, params, factors, tables
    )
  )
