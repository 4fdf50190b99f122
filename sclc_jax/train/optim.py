"""Which parameters train in a stage, and how they are updated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, path_aware_map, unflatten_dict

from sclc_jax.config import LARGE_KERNEL, ExperimentConfig, StageConfig, belongs
from sclc_jax.train.soap import scale_by_soap
from sclc_jax.train.stages import Stage

Path = tuple[str, ...]


def _by_path(label: Callable[[Path, Any], Any]) -> Callable[[Any], Any]:
  """Labels for optax: what `label` says of each leaf and the path to it."""
  return lambda params: path_aware_map(label, params)


# The few parameters beside those of the base model.
_is_added = _by_path(
  lambda path, _: path[0] in ("quantizer", "selector", "density")
)
_is_table = _by_path(lambda path, _: path[-1] in ("qv", "iqv", "gamma"))


def _is_frozen(settings: StageConfig, path: Path, leaf: Any) -> bool:
  """Whether a stage leaves a parameter as it is, given the keys to it."""
  is_large = path[-1] == "kernel" and jnp.size(leaf) >= LARGE_KERNEL
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


def optimizer(
  config: ExperimentConfig, stage: Stage
) -> optax.GradientTransformation:
  """Adam or SOAP, after clipping by the global norm where that is configured.

  It takes the first result of `split`: clipping looks at what trains. Updates
  of QV, IQV and gamma, which are factors and differ tenfold between levels, are
  relative to their size. SOAP is for kernels; all else keeps Adam.
  """
  # On one long vector; a program of some operations a parameter takes longer
  # to compile.
  scaling = adam = optax.flatten(optax.scale_by_adam())
  if config.optim.method == "soap":
    kernels = scale_by_soap(every=config.optim.soap_every)
    scaling = optax.multi_transform(
      {"kernel": kernels, "other": adam},
      _by_path(lambda path, _: "kernel" if path[-1] == "kernel" else "other"),
    )
  chain = [scaling, optax.scale_by_learning_rate(schedule(config, stage))]
  factor = config.optim.added_lr_factor
  if factor != 1.0:
    chain.append(optax.masked(optax.scale(factor), _is_added))
  chain.append(optax.masked(_relative(), _is_table))
  if config.optim.clip_norm:
    chain.insert(0, optax.clip_by_global_norm(config.optim.clip_norm))
  return optax.chain(*chain)


def _relative() -> optax.GradientTransformation:
  """Multiplies updates by the size of what they change."""
  return optax.stateless_with_tree_map(
    lambda update, value: update * jnp.maximum(jnp.abs(value), 0.05)
  )
