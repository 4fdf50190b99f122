"""One training step: how a batch changes the state of a stage (`state`).

In order: the loss of each level and its gradient (`loss`), the average over
devices, the update (`optim`), the average of the parameters. All random numbers
follow from the seed, the step and the example.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sclc_jax.config import STAGES, ExperimentConfig, stage_model
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.train import parallel
from sclc_jax.train.loss import (
  draw_levels,
  lagrange_weights,
  level_weights,
  rate_distortion,
)
from sclc_jax.train.optim import hold_at_limits, packing
from sclc_jax.train.stages import Stage
from sclc_jax.train.state import pack_state, stage_optimizer, state_shapes
from sclc_jax.train.sums import sum_in_turn


def make_loss(config: ExperimentConfig, stage: Stage) -> Callable:
  """The loss of one device's batch, a sum over parts of it (`accumulate`).

  (trained, frozen, images, step, indices) -> (loss, sums): `trained` and
  `frozen` are the two of `optim.split`, `images` [B, H, W, 3] uint8, `indices`
  [B] the numbers of the examples in the global batch; sums per level are those
  of `rate_distortion`.
  """
  settings = getattr(config.stages, stage.name)
  built = stage_model(config, stage.name)
  model = VariableRate(built, settings.rounding, settings.mask)
  lmbdas = lagrange_weights(config.train, built.levels)
  weights = level_weights(config.train, built.levels, built.adaptive)
  # Not by name: TensorFlow registers a bfloat16 of its own under it.
  dtype = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}[
    config.train.precision
  ]
  root = jax.random.key(config.seed)
  parts = config.train.accumulate

  def part_loss(trained, constants, part):
    frozen, step = constants
    images, indices = part
    keys = _example_keys(root, step, indices)
    levels = draw_levels(config, built.adaptive, keys)
    loss, sums = rate_distortion(
      model, trained, images, levels, keys, lmbdas, weights, dtype,
      config.train.distortion, frozen, config.train.distillation,
    )  # fmt: skip
    return loss / parts, sums

  def loss_fn(trained, frozen, images, step, indices):
    constants = frozen, step
    if parts == 1:
      return part_loss(trained, constants, (images, indices))
    batch = [a.reshape(parts, -1, *a.shape[1:]) for a in (images, indices)]
    loss, sums = sum_in_turn(part_loss, trained, constants, tuple(batch))
    return loss, jax.tree.map(lambda leaf: leaf.sum(0), sums)

  return loss_fn


def _example_keys(
  root: jax.Array, step: jax.Array, indices: jax.Array
) -> jax.Array:
  """Keys [B] of the examples of a step.

  The step is folded in for each example anew, and the barrier keeps it so: a
  TPU runs each of the hundred operations on a single number by itself, but
  those on a vector as one.
  """
  steps = jax.lax.optimization_barrier(jnp.full_like(indices, step))

  def key(step, index):
    return jax.random.fold_in(jax.random.fold_in(root, step), index)

  return jax.vmap(key)(steps, indices)


def _norm(tree: Any) -> jax.Array:
  """The norm of all leaves together; their sums are added in one operation."""
  sums = [jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(tree)]
  return jnp.sqrt(jnp.sum(jnp.stack(sums)))


def make_step(config: ExperimentConfig, stage: Stage) -> Callable:
  """The update of one stage, for pmap.

  (state, images, step, indices, stop) -> (state, sums); the state is that of
  `pack_state`. Gradients are averaged over the devices, then the whole update
  is skipped, and counted, unless all of them are finite. `sums["stop"]` counts
  the devices that ask for the end, so that all hosts end at the same step.
  """
  loss_fn = make_loss(config, stage)
  packs = packing(config, stage)
  gradient = jax.value_and_grad(
    lambda packed, *args: loss_fn(packs.unpack(packed), *args), has_aux=True
  )
  tx = stage_optimizer(config, stage)

  def step_fn(state, images, step, indices, stop):
    trained, frozen = state["trained"], state["frozen"]
    (loss, sums), grads = gradient(trained, frozen, images, step, indices)
    loss, grads = jax.lax.pmean((loss, grads), parallel.AXIS)
    grads = hold_at_limits(packs, trained, grads)
    sums = jax.lax.psum({**sums, "stop": stop}, parallel.AXIS)
    norm = _norm(grads)
    finite = jnp.isfinite(norm) & jnp.isfinite(loss)
    updates, opt_state = tx.update(grads, state["opt_state"], trained)
    new = {
      "trained": optax.apply_updates(trained, updates),
      "opt_state": opt_state,
    }
    if config.optim.ema_decay:
      decay = _ema_decay(config, step - stage.start)
      new["ema"] = jax.tree.map(
        lambda mean, value: mean + (1 - decay) * (value - mean),
        state["ema"],
        new["trained"],
      )
    kept = jax.tree.map(
      lambda new, old: jnp.where(finite, new, old),
      new,
      {key: state[key] for key in new},
    )
    kept["frozen"] = frozen
    kept["skipped"] = state["skipped"] + jnp.where(finite, 0, 1)
    norm = jnp.where(finite, norm, 0.0)  # a sum of what was not skipped
    return kept, {"loss": loss, "grad_norm": norm, **sums}

  return step_fn


def _ema_decay(config: ExperimentConfig, since: jax.Array) -> jax.Array:
  """Decay of the average; young averages forget their start faster.

  Args:
    config: of the experiment.
    since: steps from the stage's start.
  """
  since = since.astype(jnp.float32)
  return jnp.minimum(config.optim.ema_decay, (1 + since) / (10 + since))


@dataclasses.dataclass(frozen=True)
class Resident:
  """Training data in device memory.

  Attributes:
    data: pytree of arrays, the same on every device.
    cut: (data, batch) to images; what `batches` yields then is not images but
      tells which ones these are.
  """

  data: Any
  cut: Callable[[Any, jax.Array], jax.Array]


# Kept for a run that goes on in the same process, as in a notebook.
@functools.lru_cache(maxsize=len(STAGES))
def make_dispatch(
  config: ExperimentConfig,
  stage: Stage,
  cut: Callable | None = None,
  devices: tuple[jax.Device, ...] | None = None,
) -> Callable:
  """Several updates in one call, on all devices; the state is donated.

  (state, data, batches, step, indices, stop) -> (state, sums): `batches` has
  one a step on its first axis, `step` is the first one's, and sums are over
  the steps. `cut` is that of `Resident`, whose data the call then takes;
  `devices` are those of `parallel.parallel`.
  """
  step_fn = make_step(config, stage)

  def dispatch(state, data, batches, step, indices, stop):
    def body(state, numbered):
      offset, batch = numbered
      images = cut(data, batch) if cut else batch
      return step_fn(state, images, step + offset, indices, stop)

    steps = batches.shape[0]
    if steps == 1:
      return body(state, (0, batches[0]))
    state, sums = jax.lax.scan(body, state, (jnp.arange(steps), batches))
    return state, jax.tree.map(lambda leaf: leaf.sum(0), sums)

  return parallel.parallel(dispatch, devices)


def device_share(config: ExperimentConfig, devices: int) -> int:
  """Examples of a batch that each device works on.

  Args:
    config: of the experiment.
    devices: of all processes together.

  Raises:
    ValueError: they do not divide over devices, or over the parts of one.
  """
  share = parallel.device_share(config.data.batch_size, devices)
  if share % config.train.accumulate:
    raise ValueError(
      f"train.accumulate is {config.train.accumulate}, which does not divide "
      f"the {share} examples of a device."
    )
  return share


def call_shapes(
  config: ExperimentConfig,
  stage: Stage,
  devices: int,
  data: Any = (),
  example: jax.ShapeDtypeStruct | None = None,
) -> tuple[Any, ...]:
  """Shapes of what a run calls `make_dispatch`'s result with.

  Args:
    config: of the experiment.
    stage: that is trained.
    devices: how many share a batch; they come first in every shape.
    data: shapes of `Resident.data`, if there is one.
    example: what `batches` then yields of one example; else it is an image.
  """
  share = device_share(config, devices)
  if example is None:
    size = config.data.crop_size
    example = jax.ShapeDtypeStruct((size, size, 3), jnp.uint8)
  steps = min(config.train.steps_per_dispatch, stage.stop - stage.start)
  number = jax.ShapeDtypeStruct((), jnp.int32)

  def on_each(leaf, *axes):
    return jax.ShapeDtypeStruct((devices, *axes, *leaf.shape), leaf.dtype)

  state = jax.eval_shape(
    functools.partial(pack_state, config, stage), state_shapes(config, stage)
  )
  return (
    jax.tree.map(on_each, state),
    jax.tree.map(on_each, data),
    on_each(example, steps, share),
    on_each(number),
    on_each(number, share),
    on_each(number),
  )
