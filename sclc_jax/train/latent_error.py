"""The squared error of a picture, told from its latents.

Rounding errors of different elements hardly depend on each other, so that the
squared error of a picture is about that of the picture without any rounding,
and beside it a weighted sum of the squared errors of y_hat. The weights are the
diagonal of J^T J, J being the derivative of the synthesis: the mean squared
gradient of random signs (Hutchinson 1990).

As long as analysis and synthesis stay as they are, training needs neither
synthesis nor gradients of either: `stages.*.error` of `config.StageConfig`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.config import ModelConfig
from sclc_jax.models.variable_rate import VariableRate

CROPS = 8  # of 256x256 pixels are enough
_AREA = 16 * 16 * 3  # samples that an element of y stands for


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LatentError:
  """What the errors of y_hat cost, at 0..255.

  Attributes:
    gain: [L, M], y_hat / y where nothing is rounded: IQV / QV.
    weight: [L, M], squared error of the samples that an element stands for, by
      the squared error of the element.
    rest: [L], mean squared error without any rounding.
  """

  gain: jax.Array
  weight: jax.Array
  rest: jax.Array

  @classmethod
  def empty(cls, levels: int, M: int) -> LatentError:
    """Zeros of these shapes, float32."""
    table = jnp.zeros((levels, M))
    return cls(table, table, jnp.zeros(levels))

  def __call__(
    self, y: jax.Array, y_hat: jax.Array, level: jax.Array
  ) -> jax.Array:
    """Mean squared error of the picture, [B].

    Args:
      y: [B, h, w, M].
      y_hat: likewise.
      level: [B] int, 0-based.
    """
    at = (level[:, None, None], slice(None))
    wrong = y_hat.astype(jnp.float32) - y.astype(jnp.float32) * self.gain[at]
    squared = jnp.mean(self.weight[at] * wrong**2, (1, 2))
    return self.rest[level] + squared.sum(-1)


def measure(
  config: ModelConfig, params: Any, batches: Iterator[np.ndarray], seed: int
) -> LatentError:
  """The `LatentError` of a model as it is.

  Args:
    config: of the model.
    params: its parameters.
    batches: [B, H, W, 3] uint8 crops; enough of them are taken to have `CROPS`.
    seed: of the random signs.
  """
  model = VariableRate(config, "decoder", "inference")

  @jax.jit
  def share(params, x, keys):
    return model.apply({"params": params}, x, keys, method="shared")[1]

  @jax.jit
  def at_level(params, x, shared, keys, level, key):
    def apply(*args, method):
      return model.apply({"params": params}, *args, method=method)

    def picture(y_hat):
      return apply(y_hat, method="synthesis") * 127.5

    levels = jnp.full(len(x), level)
    y_hat = apply(shared, levels, keys, 0, method="level").y_hat
    qv, iqv = (table[level] for table in apply(method="steps"))
    rest = jnp.mean((picture(shared.y * (iqv / qv)) - 127.5 * x) ** 2)
    pull = jax.vjp(picture, y_hat)[1]
    signs = jax.random.rademacher(key, x.shape, jnp.float32)
    return rest, jnp.mean(pull(signs)[0] ** 2, (0, 1, 2))

  root, rests, weights = jax.random.key(seed), [], []
  for number, images in enumerate(batches):
    key = jax.random.fold_in(root, number)
    x = images.astype(np.float32) / 127.5 - 1
    keys = jax.random.split(key, len(x))
    shared = share(params, x, keys)
    rest, weight = zip(
      *(at_level(params, x, shared, keys, q, key) for q in range(config.levels))
    )
    rests.append(rest)
    weights.append(weight)
    if (number + 1) * len(images) >= CROPS:
      break
  qv, iqv = model.apply({"params": params}, method="steps")
  return LatentError(
    iqv / qv,
    jnp.asarray(np.mean(weights, 0) / _AREA, jnp.float32),
    jnp.asarray(np.mean(rests, 0), jnp.float32),
  )
