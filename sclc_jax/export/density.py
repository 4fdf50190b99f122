"""The learned densities of a checkpoint, the same on every machine.

The same functions as in `nn.likelihoods`, in float64 and by `codec.elementary`.
Their probabilities become tables, which must not depend on the libraries.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sclc_jax.codec import elementary
from sclc_jax.codec.entropy.range_coder import RangeTables
from sclc_jax.codec.entropy.tables import (
  build_factorized_tables,
  build_mixture_tables,
  gaussian_tables,
)
from sclc_jax.codec.exact.control import Z_MAX
from sclc_jax.config import ModelConfig

_TAIL = 2.0**-10  # mass of z left to the escape code, each side


def z_masses(bottleneck: dict[str, Any]) -> np.ndarray:
  """Probability of each integer from -Z_MAX to Z_MAX, [2 Z_MAX + 1, C].

  Args:
    bottleneck: parameters of `nn.likelihoods.EntropyBottleneck`.
  """
  edges = np.arange(-Z_MAX, Z_MAX + 2) - 0.5
  logits = _cumulative_logits(bottleneck, edges)
  lower, upper = logits[:, :-1], logits[:, 1:]
  # In the tail on the element's own side, where the difference is precise.
  sign = -np.sign(lower + upper)
  mass = elementary.sigmoid(sign * upper) - elementary.sigmoid(sign * lower)
  return np.abs(mass).T


def _cumulative_logits(
  bottleneck: dict[str, Any], z: np.ndarray
) -> np.ndarray:
  """[C, S] of z [S]; sums are written out, as a product may take any order."""
  count = sum(key.startswith("matrix_") for key in bottleneck)
  params = {
    key: np.asarray(value, np.float64) for key, value in bottleneck.items()
  }
  inputs = [z[None]]  # each [C, S]
  for i in range(count):
    matrix = elementary.softplus(params[f"matrix_{i}"])
    outputs = []
    for row in range(matrix.shape[1]):
      terms = (
        matrix[:, row, column, None] * value
        for column, value in enumerate(inputs)
      )
      value = functools.reduce(np.add, terms) + params[f"bias_{i}"][:, row]
      if f"factor_{i}" in params:
        factor = elementary.tanh(params[f"factor_{i}"][:, row])
        value = value + factor * elementary.tanh(value)
      outputs.append(value)
    inputs = outputs
  return inputs[0]


def z_support(masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """First and last symbol of each channel's table, int32 [C] each.

  Args:
    masses: as of `z_masses`.
  """
  below = np.cumsum(masses, 0)
  above = np.cumsum(masses[::-1], 0)
  lower = (below < _TAIL).sum(0) - Z_MAX
  upper = Z_MAX - (above < _TAIL).sum(0)
  lower = np.minimum(lower, Z_MAX)
  return lower.astype(np.int32), np.maximum(lower, upper).astype(np.int32)


def z_tables(bottleneck: dict[str, Any]) -> RangeTables:
  """Tables of z, one a channel."""
  masses = z_masses(bottleneck)
  return build_factorized_tables(masses, -Z_MAX, *z_support(masses))


def y_mixture(
  config: ModelConfig, params: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
  """(weights, multiples of the scale), float64 [K], of the density of y."""
  if config.density == "normal":
    return np.ones(1), np.ones(1)
  density = {
    key: np.asarray(value, np.float64)
    for key, value in params["density"].items()
  }
  logits = density["logits"]
  powers = elementary.exp(logits - logits.max())
  weights = powers / elementary.total(powers)
  return weights, elementary.exp(density["log_multiples"])


def y_tables(config: ModelConfig, params: dict[str, Any]) -> RangeTables:
  """Tables of y as the density has them."""
  if config.density == "normal":
    return gaussian_tables()
  return build_mixture_tables(*y_mixture(config, params))
