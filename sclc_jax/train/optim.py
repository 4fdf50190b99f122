"""How the parameters of a stage are updated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sclc_jax.config import LARGE_KERNEL, ExperimentConfig
from sclc_jax.train.soap import scale_by_soap
from sclc_jax.train.stages import Stage


def _by_path(label: Callable[[list[str], Any], Any]) -> Callable[[Any], Any]:
  """Labels for optax: what `label` says of each leaf and the keys to it."""
  return lambda params: jax.tree_util.tree_map_with_path(
    lambda path, leaf: label([part.key for part in path], leaf), params
  )


# The few parameters beside those of the base model.
_is_added = _by_path(
  lambda path, _: path[0] in ("quantizer", "selector", "density")
)
_is_table = _by_path(lambda path, _: path[-1] in ("qv", "iqv", "gamma"))


def _is_fixed(
  config: ExperimentConfig, stage: Stage
) -> Callable[[list[str], Any], bool]:
  """Tells of a leaf and the keys to it whether it is fixed in the stage."""
  parts = set()
  if getattr(config.stages, stage.name).error == "latents":
    parts = {"analysis", "synthesis"}
  large = LARGE_KERNEL if config.optim.fix_large_kernels else float("inf")

  def is_fixed(path: list[str], leaf: Any) -> bool:
    is_large = path[-1] == "kernel" and jnp.size(leaf) >= large
    return is_large or bool(parts.intersection(path))

  return is_fixed


def stop_fixed_gradients(
  config: ExperimentConfig, stage: Stage, params: Any
) -> Any:
  """The parameters, without a gradient of those that are fixed in the stage."""
  fixed = _by_path(_is_fixed(config, stage))(params)
  return jax.tree.map(
    lambda keep, leaf: jax.lax.stop_gradient(leaf) if keep else leaf,
    fixed,
    params,
  )


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

  Steps are relative to their size for QV, IQV and gamma, which are factors and
  differ tenfold between levels. SOAP is for kernels; the rest keeps Adam.
  """
  adam = kernels = optax.scale_by_adam()
  if config.optim.method == "soap":
    kernels = scale_by_soap(every=config.optim.soap_every)
  is_fixed = _is_fixed(config, stage)

  def kind(path: list[str], leaf: Any) -> str:
    if is_fixed(path, leaf):
      return "fixed"
    return "kernel" if path[-1] == "kernel" else "other"

  scaling = optax.multi_transform(
    {
      "fixed": optax.set_to_zero(),
      "kernel": kernels,
      "other": adam,
    },
    _by_path(kind),
  )
  parts = [scaling, optax.scale_by_learning_rate(schedule(config, stage))]
  factor = config.optim.added_lr_factor
  if factor != 1.0:
    parts.append(optax.masked(optax.scale(factor), _is_added))
  parts.append(optax.masked(_relative(), _is_table))
  if config.optim.clip_norm:
    parts.insert(0, optax.clip_by_global_norm(config.optim.clip_norm))
  return optax.chain(*parts)


def _relative() -> optax.GradientTransformation:
  """Multiplies updates by the size of what they change."""
  return optax.stateless_with_tree_map(
    lambda update, value: update * jnp.maximum(jnp.abs(value), 0.05)
  )
