"""One loop for the three stages.

A stage is data: what is built, which levels, how many steps. Everything that
is random derives from (seed, step, example), so a resumed run draws what an
unbroken one would.
"""

from __future__ import annotations

import dataclasses
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from sclc_jax.checkpoint import Checkpoints
from sclc_jax.config import STAGES, ExperimentConfig, from_dict, stage_model
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.train import parallel
from sclc_jax.train.logs import TrainingLog, summarise
from sclc_jax.train.loss import draw_levels, lagrange_weights, rate_distortion

Batches = Callable[[int], Iterator[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Stage:
  """A stretch of steps, [start, stop), counted over all stages."""

  name: str
  start: int
  stop: int


def stages(config: ExperimentConfig) -> list[Stage]:
  """The stages that have steps, in order."""
  found, start = [], 0
  for name in STAGES:
    stop = start + getattr(config.stages, name).steps
    if stop > start:
      found.append(Stage(name, start, stop))
    start = stop
  return found


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
  """Adam, after clipping by the global norm where that is configured."""
  parts = [optax.adam(schedule(config, stage))]
  factor = config.optim.table_lr_factor
  if factor != 1.0:
    parts.append(optax.masked(optax.scale(factor), _is_table))
  if config.optim.clip_norm:
    parts.insert(0, optax.clip_by_global_norm(config.optim.clip_norm))
  return optax.chain(*parts)


def _is_table(params: Any) -> Any:
  """True at QV, IQV and gamma, which travel further than weights."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: (
      path[0].key in ("quantizer", "selector")
      and path[-1].key in ("qv", "iqv", "gamma")
    ),
    params,
  )


def merge(fresh: Any, old: Any) -> Any:
  """`fresh`, with every leaf that `old` has (same path and shape) from it."""
  if not isinstance(fresh, dict):
    if np.shape(fresh) != np.shape(old):
      raise ValueError(
        f"a parameter of shape {np.shape(old)} does not fit the model's "
        f"{np.shape(fresh)}; model.N and model.M must equal init_from's."
      )
    return jnp.asarray(old, jnp.float32)
  return {
    key: merge(value, old[key]) if key in old else value
    for key, value in fresh.items()
  }


def new_state(
  config: ExperimentConfig, stage: Stage, params: Any | None
) -> dict[str, Any]:
  """State at a stage's start: known parameters kept, moments fresh."""
  fresh = init_params(stage_model(config, stage.name), config.seed)
  params = fresh if params is None else merge(fresh, params)
  return {
    "params": params,
    "opt_state": optimizer(config, stage).init(params),
    "skipped": jnp.zeros((), jnp.int32),
  }


def make_step(config: ExperimentConfig, stage: Stage) -> Callable:
  """The update of one stage: (state, images, step, indices) -> (state, sums).

  Gradients are averaged over the devices, then the whole update is skipped,
  and counted, unless all of them are finite.
  """
  model = VariableRate(stage_model(config, stage.name))
  tx = optimizer(config, stage)
  lmbdas = lagrange_weights(config.train.lmbda_first, config.model.levels)
  dtype = jnp.dtype(config.train.precision)
  root = jax.random.key(config.seed)

  def step_fn(state, images, step, indices):
    step_key = jax.random.fold_in(root, step)
    keys = jax.vmap(lambda i: jax.random.fold_in(step_key, i))(indices)
    levels = draw_levels(config, model.config.adaptive, keys)

    def loss_fn(params):
      return rate_distortion(model, params, images, levels, keys, lmbdas, dtype)

    (loss, sums), grads = jax.value_and_grad(loss_fn, has_aux=True)(
      state["params"]
    )
    loss, grads = jax.lax.pmean((loss, grads), parallel.AXIS)
    sums = jax.lax.psum(sums, parallel.AXIS)
    finite = jnp.isfinite(optax.global_norm(grads)) & jnp.isfinite(loss)
    updates, opt_state = tx.update(grads, state["opt_state"], state["params"])
    params = optax.apply_updates(state["params"], updates)

    def keep(new, old):
      return jnp.where(finite, new, old)

    new = {
      "params": jax.tree.map(keep, params, state["params"]),
      "opt_state": jax.tree.map(keep, opt_state, state["opt_state"]),
      "skipped": state["skipped"] + jnp.where(finite, 0, 1),
    }
    return new, {"loss": loss, **sums}

  return step_fn


class _Stop:
  """Becomes true on SIGTERM; looked at between steps."""

  def __init__(self):
    self.asked = False
    self._previous = None
    if threading.current_thread() is threading.main_thread():
      self._previous = signal.signal(signal.SIGTERM, self._ask)

  def close(self) -> None:
    """Gives SIGTERM back to who had it."""
    if self._previous is not None:
      signal.signal(signal.SIGTERM, self._previous)

  def _ask(self, *unused):
    self.asked = True


def train(
  config: ExperimentConfig,
  workdir: str | pathlib.Path,
  batches: Batches,
  *,
  stop_at: int | None = None,
  initial_params: Any | None = None,
  quiet: bool = False,
) -> int:
  """Trains, or resumes what `workdir` holds, through all stages.

  Args:
    config: of the experiment; must equal that of a run being resumed.
    workdir: checkpoints, log.csv and tensorboard go here.
    batches: gives the uint8 [B, crop, crop, 3] batches from a step on.
    stop_at: saves and ends at this step (counted over all stages).
    initial_params: parameters that the first stage starts from.
    quiet: no progress bar.

  Returns:
    The step reached.
  """
  workdir = pathlib.Path(workdir).absolute()
  plan = stages(config)
  meta = {"config": dataclasses.asdict(config)}
  checkpoints = Checkpoints(workdir / "checkpoints")
  step = checkpoints.latest_step() or 0
  if step and from_dict(checkpoints.meta(step)["config"]) != config:
    raise ValueError(
      f"{workdir} holds a run of another config; give its config, or an "
      "empty --workdir."
    )
  workdir.mkdir(parents=True, exist_ok=True)
  devices = parallel.devices_for(config.data.batch_size)
  stop = _Stop()
  last = min(plan[-1].stop, stop_at or plan[-1].stop)
  log = TrainingLog(workdir, config.model.levels, step)
  bar = tqdm.tqdm(
    total=plan[-1].stop,
    initial=step,
    unit="step",
    disable=quiet,
    file=sys.stderr,
  )
  params = initial_params
  stream = batches(step) if step < last else iter(())
  state = None
  for stage in plan:
    if step > stage.stop or (step == stage.stop and step < last):
      if step == stage.stop:  # the next stage starts from this one's end
        state, _ = checkpoints.restore(step, new_state(config, stage, None))
        params = state["params"]
      continue
    if step > stage.start:
      state, _ = checkpoints.restore(step, new_state(config, stage, None))
    else:
      state = new_state(config, stage, params)
    if step >= last:
      break
    state = _run_stage(
      config,
      stage,
      state,
      step,
      min(last, stage.stop),
      stream,
      devices,
      checkpoints,
      meta,
      log,
      bar,
      stop,
    )
    step = min(last, stage.stop)
    if stop.asked:
      step = checkpoints.latest_step()
    params = state["params"]
    if stop.asked or step >= last:
      break
  checkpoints.wait()
  checkpoints.close()
  log.close()
  bar.close()
  stop.close()
  return step


def _run_stage(
  config, stage, state, step, until, stream, devices, checkpoints, meta, log,
  bar, stop,
):  # fmt: skip
  batch_size = config.data.batch_size
  update = parallel.parallel(make_step(config, stage), devices)
  lr = schedule(config, stage)
  state = parallel.replicate(state, devices)
  indices = parallel.shard(np.arange(batch_size, dtype=np.int32), devices)
  sums, since = None, 0
  while step < until and not stop.asked:
    images = parallel.shard(next(stream), devices)
    steps = np.full(len(devices), step, np.int32)
    state, new = update(state, images, steps, indices)
    new = jax.device_get(jax.tree.map(lambda leaf: leaf[0], new))
    sums = new if sums is None else {k: sums[k] + new[k] for k in sums}
    step, since = step + 1, since + 1
    bar.update()
    if step % config.train.log_every == 0 or step == until:
      skipped = int(jax.device_get(state["skipped"])[0])
      row = {
        "step": step,
        "stage": stage.name,
        "loss": float(sums["loss"]) / since,
        "lr": float(lr(step - stage.start)),
        "skipped": skipped,
        **summarise(sums),
      }
      log.write(row)
      top = config.model.levels
      bar.set_postfix_str(
        f"{stage.name} loss {row['loss']:.3f} level {top}: "
        f"{row[f'psnr_db_{top}']:.2f} dB {row[f'bpp_{top}']:.3f} bpp"
      )
      sums, since = None, 0
    if step % config.train.checkpoint_every == 0 and step < until:
      checkpoints.save(step, parallel.unreplicate(state), meta)
  state = parallel.unreplicate(state)
  checkpoints.save(step, state, {**meta, "stage": stage.name})
  return state
