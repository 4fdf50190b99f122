"""One loop for all stages.

A stage is data: what is built, which levels, how many steps. Everything that
is random derives from (seed, step, example), so a resumed run draws what an
unbroken one would.
"""

from __future__ import annotations

import dataclasses
import functools
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

from sclc_jax.config import (
  STAGES,
  ExperimentConfig,
  from_dict,
  stage_model,
)
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.train import parallel
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.latent_error import LatentError, measure
from sclc_jax.train.logs import TrainingLog, summarise
from sclc_jax.train.loss import (
  draw_levels,
  lagrange_weights,
  level_weights,
  rate_distortion,
)
from sclc_jax.train.optim import (
  optimizer,
  schedule,
  stop_fixed_gradients,
)
from sclc_jax.train.stages import Stage, stages
from sclc_jax.train.sums import sum_in_turn
from sclc_jax.train.transfer import merge
from sclc_jax.train.validation import Validation, Validator

_AHEAD = 1  # steps that the device may run ahead of the host
_DIVERGED = 10  # updates in a row, none finite

Batches = Callable[[int], Iterator[np.ndarray]]


def new_state(
  config: ExperimentConfig, stage: Stage, params: Any | None
) -> dict[str, Any]:
  """State at a stage's start: known parameters kept, moments fresh."""
  fresh = init_params(stage_model(config, stage.name), config.seed)
  params = fresh if params is None else merge(fresh, params)
  state = {
    "params": params,
    "opt_state": optimizer(config, stage).init(params),
    "skipped": jnp.zeros((), jnp.int32),
  }
  if config.optim.ema_decay:
    state["ema"] = params
  if getattr(config.stages, stage.name).error == "latents":
    shape = config.model.levels, config.model.M
    state["latent_error"] = LatentError.empty(*shape)  # `train` measures it
  return state


def restore_state(
  checkpoints: Checkpoints, step: int, config: ExperimentConfig, stage: Stage
) -> dict[str, Any]:
  """The state that a run of `config` saved at `step`, which is of `stage`."""
  target = jax.eval_shape(lambda: new_state(config, stage, None))
  return checkpoints.restore(step, target)[0]


def trained_params(state: dict[str, Any]) -> Any:
  """What a state offers for export: the averaged parameters if it has them."""
  return state.get("ema", state["params"])


def make_step(config: ExperimentConfig, stage: Stage) -> Callable:
  """The update of one stage, for pmap.

  (state, images, step, indices, stop) -> (state, sums). Gradients are averaged
  over the devices, then the whole update is skipped, and counted, unless all
  of them are finite. `sums["stop"]` counts the devices that ask for the end,
  so that all hosts end at the same step.
  """
  how = getattr(config.stages, stage.name)
  model = VariableRate(
    stage_model(config, stage.name), how.rounding, how.mask, how.error
  )
  tx = optimizer(config, stage)
  lmbdas = lagrange_weights(config.train, config.model.levels)
  weights = level_weights(
    config.train, config.model.levels, model.config.adaptive
  )
  # Not by name: TensorFlow registers a bfloat16 of its own under it.
  dtype = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}[
    config.train.precision
  ]
  root = jax.random.key(config.seed)
  decay = config.optim.ema_decay
  parts = config.train.accumulate

  def part_loss(params, constants, part):
    step, latent_error = constants
    images, indices = part
    step_key = jax.random.fold_in(root, step)
    keys = jax.vmap(lambda i: jax.random.fold_in(step_key, i))(indices)
    levels = draw_levels(config, model.config.adaptive, keys)
    loss, sums = rate_distortion(
      model, params, images, levels, keys, lmbdas, weights, dtype,
      config.train.distortion, latent_error,
    )  # fmt: skip
    return loss / parts, sums

  def gradients(params, images, constants, indices):
    def loss_fn(params):
      params = stop_fixed_gradients(config, stage, params)
      if parts == 1:
        return part_loss(params, constants, (images, indices))
      split = [a.reshape(parts, -1, *a.shape[1:]) for a in (images, indices)]
      loss, sums = sum_in_turn(part_loss, params, constants, tuple(split))
      return loss, jax.tree.map(lambda leaf: leaf.sum(0), sums)

    return jax.value_and_grad(loss_fn, has_aux=True)(params)

  def step_fn(state, images, step, indices, stop):
    constants = step, state.get("latent_error")
    (loss, sums), grads = gradients(state["params"], images, constants, indices)
    loss, grads = jax.lax.pmean((loss, grads), parallel.AXIS)
    sums = jax.lax.psum({**sums, "stop": stop}, parallel.AXIS)
    finite = jnp.isfinite(optax.tree.norm(grads)) & jnp.isfinite(loss)
    updates, opt_state = tx.update(grads, state["opt_state"], state["params"])
    params = optax.apply_updates(state["params"], updates)
    new = {
      "params": params,
      "opt_state": opt_state,
      "skipped": state["skipped"],
    }
    if "latent_error" in state:
      new["latent_error"] = state["latent_error"]
    if decay:  # young averages forget their start faster
      since = (step - stage.start).astype(jnp.float32)
      rate = 1 - jnp.minimum(decay, (1 + since) / (10 + since))
      # Not optax.incremental_update, in which what is fixed drifts.
      new["ema"] = jax.tree.map(
        lambda mean, value: mean + rate * (value - mean), state["ema"], params
      )
    kept = jax.tree.map(
      lambda new, old: jnp.where(finite, new, old), new, state
    )
    kept["skipped"] = state["skipped"] + jnp.where(finite, 0, 1)
    return kept, {"loss": loss, **sums}

  return step_fn


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
  config: ExperimentConfig, stage: Stage, cut: Callable | None = None
) -> Callable:
  """Several updates in one call, on all devices; the state is donated.

  (state, data, batches, step, indices, stop) -> (state, sums): `batches` has
  one a step on its first axis, `step` is the first one's, and sums are over
  the steps. `cut` is that of `Resident`, whose data the call then takes.
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

  return parallel.parallel(dispatch)


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
  initial_params: Callable[[], Any] | None = None,
  resident: Resident | None = None,
  validator: Validator | None = None,
  quiet: bool = False,
) -> int:
  """Trains, or resumes what `workdir` holds, through all stages.

  Args:
    config: of the experiment; must equal that of a run being resumed.
    workdir: checkpoints, best, log.csv, validation.csv and tensorboard go here.
    batches: gives the uint8 [B, crop, crop, 3] batches from a step on, or what
      `resident` makes them from.
    stop_at: saves and ends at this step (counted over all stages), or at the
      end of the call of `train.steps_per_dispatch` steps that it lies in.
    initial_params: gives the parameters that the first stage starts from;
      not called where none is left to start.
    resident: data in device memory.
    validator: called every `train.validate_every` steps and at the end of each
      stage, by the first process.
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
  examples = parallel.local_examples(config.data.batch_size)
  share = len(examples) // jax.local_device_count()
  if share % config.train.accumulate:
    raise ValueError(
      f"train.accumulate is {config.train.accumulate}, which does not divide "
      f"the {share} examples of a device."
    )
  last = min(plan[-1].stop, stop_at or plan[-1].stop)
  # A later stage takes its parts from there too, where they are.
  begins = initial_params is not None and step <= plan[-1].start and step < last
  params = carried = (initial_params() or {}) if begins else {}
  workdir.mkdir(parents=True, exist_ok=True)
  first = parallel.is_first_process()
  run = _Run(
    config=config,
    stream=batches(step) if step < last else iter(()),
    examples=examples,
    resident=resident,
    data=parallel.replicate(resident.data) if resident else (),
    checkpoints=checkpoints,
    meta=meta,
    log=TrainingLog(workdir, config, step, validator is not None)
    if first
    else None,
    validation=Validation(config, workdir, validator) if validator else None,
    bar=tqdm.tqdm(
      total=plan[-1].stop,
      initial=step,
      unit="step",
      disable=quiet or not first,
      file=sys.stderr,
    ),
    stop=_Stop(),
  )
  try:
    for stage in plan:
      if step >= last or run.stop.asked:
        break
      if step > stage.stop:
        continue
      if step > stage.start:
        state = restore_state(checkpoints, step, config, stage)
      else:
        state = new_state(config, stage, params)
        if "latent_error" in state:
          state["latent_error"] = _latent_error(
            config, stage, state["params"], batches(step), resident
          )
      if step < stage.stop:
        state, step = _run_stage(run, stage, state, step, min(last, stage.stop))
      params = carried | state["params"]  # what the next stage starts from
  finally:
    run.close()
  return step


def _latent_error(
  config: ExperimentConfig,
  stage: Stage,
  params: Any,
  stream: Iterator[np.ndarray],
  resident: Resident | None,
) -> LatentError:
  """The stage's, the same in all processes."""
  if resident:
    stream = (resident.cut(resident.data, rows) for rows in stream)
  model = stage_model(config, stage.name)
  found = measure(model, params, stream, config.seed)
  return parallel.from_first_process(found)


@dataclasses.dataclass(frozen=True)
class _Run:
  """What the stages of one run share."""

  config: ExperimentConfig
  stream: Iterator[np.ndarray]
  examples: range
  resident: Resident | None
  data: Any
  checkpoints: Checkpoints
  meta: dict
  log: TrainingLog | None  # of the first process
  validation: Validation | None
  bar: tqdm.tqdm
  stop: _Stop

  def close(self) -> None:
    """Waits for the checkpoints, and gives back what was taken."""
    self.checkpoints.close()
    if self.validation is not None:
      self.validation.close()
    if self.log is not None:
      self.log.close()
    self.bar.close()
    self.stop.close()


def _run_stage(
  run: _Run, stage: Stage, state: dict[str, Any], step: int, until: int
) -> tuple[dict[str, Any], int]:
  """Trains from `step` to `until`, or to a stop; returns (state, step)."""
  config, settings = run.config, run.config.train
  grid = settings.steps_per_dispatch
  cut = run.resident.cut if run.resident else None
  update = make_dispatch(config, stage, cut)
  lr = schedule(config, stage)
  skipped_before = int(state["skipped"])
  state = parallel.replicate(state)
  indices = parallel.shard(np.asarray(run.examples, np.int32))
  per_device = np.ones(jax.local_device_count(), np.int32)
  pending: list[Any] = []  # results not yet fetched: the device runs ahead
  sums, since, stopping = None, 0, False
  failed = 0  # updates in the last reports none of whose updates was finite
  while step < until and not stopping:
    # The grid of calls does not depend on where a run starts, nor do its bits.
    end = min((step // grid + 1) * grid, stage.stop)
    batches = np.stack([next(run.stream) for _ in range(step, end)])
    state, new = update(
      state,
      run.data,
      parallel.shard(batches, 1),
      step * per_device,
      indices,
      int(run.stop.asked) * per_device,
    )
    pending.append(new)
    since += end - step
    run.bar.update(end - step)
    step = end
    report = step % settings.log_every == 0 or step >= until
    while pending and (report or len(pending) > _AHEAD):
      done = parallel.unreplicate(pending.pop(0))
      stopping = stopping or bool(done.pop("stop"))
      sums = done if sums is None else {k: sums[k] + done[k] for k in sums}
    if report:
      skipped = int(parallel.unreplicate(state["skipped"]))
      row = {
        "step": step,
        "stage": stage.name,
        "loss": float(sums["loss"]) / since,
        "lr": float(lr(step - stage.start)),
        "skipped": skipped,
        **summarise(sums),
      }
      if run.log is not None:
        run.log.write(row)
      top = config.model.levels
      run.bar.set_postfix_str(
        f"{stage.name} loss {row['loss']:.3f} level {top}: "
        f"{row[f'psnr_db_{top}']:.2f} dB {row[f'bpp_{top}']:.3f} bpp"
      )
      failed = failed + since if skipped - skipped_before == since else 0
      if failed >= _DIVERGED:
        raise ValueError(
          f"the run has diverged: none of the last {failed} updates before "
          f"step {step} was finite. Lower optim.lr, or set optim.clip_norm, "
          f"and start again from step {run.checkpoints.latest_step() or 0}."
        )
      sums, since, skipped_before = None, 0, skipped
    every = settings.validate_every
    if run.validation and (step % every == 0 or step == stage.stop):
      host = parallel.unreplicate(state)
      params = trained_params(host)
      run.validation(stage.name, step, host, params, run.meta, run.log)
    if step % settings.checkpoint_every == 0 and step < until:
      run.checkpoints.save(step, parallel.unreplicate(state), run.meta)
  state = parallel.unreplicate(state)
  run.checkpoints.save(step, state, run.meta)
  run.stop.asked = run.stop.asked or stopping
  return state, step
