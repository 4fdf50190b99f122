"""Validation by real rate, and the state that does best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sclc_jax.buckets import Path
from sclc_jax.config import ExperimentConfig, ModelConfig, stage_model
from sclc_jax.train import parallel
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.logs import TrainingLog
from sclc_jax.train.loss import lagrange_weights, level_weights
from sclc_jax.train.progress import say

# (model, parameters) to a row a quality: `quality`, `bytes`, `bpp`, `psnr_db`
# and `distortion`, what the loss weighs against bpp.
Validator = Callable[[ModelConfig, Any], list[dict[str, float]]]


class Validation:
  """Real rates at intervals; keeps the state of the best one in DIR/best.

  Best is the lowest mean over the qualities of the training loss on real files,
  each level weighted as in training; a later stage's is better than any of an
  earlier one.
  """

  def __init__(
    self,
    config: ExperimentConfig,
    workdir: Path,
    validator: Validator,
    start: int | None = None,
  ):
    """Opens DIR/best.

    Args:
      config: of the run.
      workdir: DIR.
      validator: what is called.
      start: a best state of a later step is set aside, and one that is not
        whole; None keeps it whatever its step.
    """
    self._config = config
    self._validator = validator
    self._checkpoints = Checkpoints(workdir / "best", max_to_keep=1)
    self._best = self._known_best(start)

  def _known_best(self, start: int | None) -> dict | None:
    """What is kept beside the best state so far, None if none counts."""
    checkpoints = self._checkpoints
    step = checkpoints.latest_step()
    if step is None:
      return None
    reason = f"is beyond step {start}"
    if start is None or step <= start:
      try:
        meta = checkpoints.meta(step)
      except ValueError:
        reason = "is incomplete"
      else:
        old, new = meta["config"]["data"]["validation"], self._config.data
        return meta if old == new.validation else None
    checkpoints.set_aside(step - 1)
    say(f"the best state so far, {checkpoints.folder / str(step)}, {reason}: "
        "set aside; the next validation starts anew")  # fmt: skip
    return None

  def close(self) -> None:
    """Waits until the best state is on disk."""
    self._checkpoints.close()

  def __call__(
    self,
    stage: str,
    step: int,
    state: dict[str, Any],
    params: Any,
    meta: dict,
    log: TrainingLog | None,
  ) -> None:
    """Validates, logs, and keeps the state if none was better.

    Args:
      stage: name of the stage.
      step: counted over all stages.
      state: what is kept.
      params: of it, those that an export would take.
      meta: what is kept beside the state.
      log: of the first process, which alone validates.
    """
    score = 0.0
    if log is not None:
      rows = self._validator(stage_model(self._config, stage), params)
      config, levels = self._config.train, self._config.model.levels
      lmbdas = lagrange_weights(config, levels)
      adaptive = stage_model(self._config, stage).adaptive
      weights = level_weights(config, levels, adaptive)
      losses = []
      for row in rows:
        q = round(row["quality"]) - 1
        lost = lmbdas[q] * row["distortion"] + row["bpp"]
        losses.append(weights[q] * lost)
      score = float(np.mean(losses))
      keys = ("quality", "bytes", "bpp", "psnr_db")
      log.write_validation(
        [
          {"step": step, "stage": stage, **{key: row[key] for key in keys},
           "score": score}
          for row in rows
        ]
      )  # fmt: skip
    score = float(parallel.from_first_process(np.float32(score)))
    best = self._best
    if best is None or best["stage"] != stage or score < best["score"]:
      self._best = {**meta, "stage": stage, "score": score}
      self._checkpoints.save(step, state, self._best)
