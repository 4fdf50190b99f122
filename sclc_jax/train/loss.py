"""The rate-distortion loss over quality levels (paper, eq. 6)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.config import ExperimentConfig, TrainConfig
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn.ms_ssim import ms_ssim
from sclc_jax.nn.pixels import from_pixels, to_pixels
from sclc_jax.train.optim import join
from sclc_jax.train.sums import sum_in_turn


def lagrange_weights(config: TrainConfig, levels: int) -> np.ndarray:
  """lmbda of each level [L], geometric; see `config.TrainConfig`."""
  objective = config.objective
  return np.geomspace(objective.lmbda_first, objective.lmbda_last, levels)


def level_weights(
  config: TrainConfig, levels: int, adaptive: bool = True
) -> np.ndarray:
  """How much the loss of each level counts [L], 1 in the mean.

  See `train.level_balance` of `config.TrainConfig`.

  Args:
    config: of the training.
    levels: L.
    adaptive: whether the stage has more than the top level; else all are 1.
  """
  if not adaptive:
    return np.ones(levels)
  weights = lagrange_weights(config, levels) ** -config.level_balance
  return weights / weights.mean()


def draw_levels(
  config: ExperimentConfig, adaptive: bool, keys: jax.Array
) -> jax.Array:
  """The levels of one step, [K, B] int, 0-based.

  Without the quantizer (stage 1) it is the top level alone; else all levels,
  or `levels_per_image` different ones drawn for each example.

  Args:
    config: of the experiment.
    adaptive: whether the stage has more than the top level.
    keys: [B] keys of the examples.
  """
  levels, batch = config.model.levels, keys.shape[0]
  if not adaptive:
    return jnp.full((1, batch), levels - 1, jnp.int32)
  count = config.train.levels_per_image
  if count == 0 or count >= levels:
    return jnp.tile(jnp.arange(levels, dtype=jnp.int32)[:, None], (1, batch))

  def draw(example_key):
    drawn = jax.random.fold_in(example_key, 1_000_000)
    return jax.random.permutation(drawn, levels)[:count]

  return jax.vmap(draw)(keys).T.astype(jnp.int32)


def rate_distortion(
  model: VariableRate,
  params: Any,
  images: jax.Array,
  levels: jax.Array,
  keys: jax.Array,
  lmbdas: np.ndarray,
  weights: np.ndarray,
  dtype=jnp.float32,
  distortion: str = "mse",
  frozen: Any = None,
  distillation: float = 0.0,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """sum over levels of w (lmbda * distortion + bpp), the batch's average.

  Args:
    model: what is trained.
    params: its parameters, nested dicts; the gradient is that of these.
    images: [B, H, W, 3] uint8.
    levels: [K, B]; where K < L, the sum is scaled by L / K (unbiased).
    keys: [B], one per example.
    lmbdas: [L], from `lagrange_weights`.
    weights: [L], from `level_weights`.
    dtype: of the transforms' computation.
    distortion: `mse`, or `ms_ssim`: 1 - MS-SSIM.
    frozen: parameters beside them that have no gradient.
    distillation: see `train.distillation` of `config.TrainConfig`.

  Returns:
    The loss, and sums per level [L]: `count`, `mse`, `bpp`, `selected`, and
    `ms_ssim` where that is trained on.
  """
  pixels = images.shape[1] * images.shape[2]
  x_255 = images.astype(jnp.float32)
  x = from_pixels(x_255)
  distinct = lmbdas.shape[0] if model.config.adaptive else 1
  lmbdas = jnp.asarray(lmbdas)
  weights = jnp.asarray(weights * (distinct / levels.shape[0]))

  def apply(params, frozen, *args, method: str):
    params = join(params, frozen)
    return model.apply({"params": params}, *args, method=method)

  def measure(x, x_hat):
    """(the distortion, all that is measured) of pictures, each [B]."""
    mse = jnp.mean((x_hat - x) ** 2, axis=(1, 2, 3))
    if distortion == "mse":
      return mse, {"mse": mse}
    similarity = ms_ssim(x, x_hat)
    return 1 - similarity, {"mse": mse, "ms_ssim": similarity}

  frozen = frozen or {}
  synthesis = "fast" if model.config.fast else "synthesis"
  bits_z, shared = apply(params, frozen, x.astype(dtype), keys, method="shared")

  def level_loss(args, constants, drawn):
    params, shared, bits_z = args
    (frozen, x_255, keys), (level, k) = constants, drawn
    out = apply(params, frozen, shared, level, keys, k, method="level")
    y_hat = out.y_hat.astype(dtype)
    at = level[:, None, None]
    x_hat = apply(params, frozen, y_hat, at, method=synthesis)
    x_hat = to_pixels(x_hat.astype(jnp.float32))
    lost, values = measure(x_255, x_hat)
    values["selected"] = out.selected
    if model.config.fast and distillation:
      known = jax.lax.stop_gradient((params, frozen, y_hat))
      shown = apply(*known, at, method="synthesis").astype(jnp.float32)
      shown = jnp.clip(to_pixels(shown), 0, 255)
      lost += distillation * (measure(shown, x_hat)[0] - lost)
    values["bpp"] = bpp = (out.bits_y + bits_z) / pixels
    return jnp.mean(weights[level] * (lmbdas[level] * lost + bpp)), values

  drawn = levels, jnp.arange(levels.shape[0])
  args = params, shared, bits_z
  constants = frozen, x_255, keys
  loss, values = sum_in_turn(level_loss, args, constants, drawn)
  one_hot = jax.nn.one_hot(levels, lmbdas.shape[0])  # [K, B, L]

  def per_level(values):
    return jnp.einsum("kb,kbl->l", values, one_hot)

  sums = {key: per_level(value) for key, value in values.items()}
  return loss, {"count": one_hot.sum((0, 1)), **sums}
