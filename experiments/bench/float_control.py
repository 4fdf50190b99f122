"""The float control path that the codec does NOT use, for comparison only.

What every learned codec did: mask and table index from float32 networks, a
power, a division and a comparison. The benchmarks count the files it breaks.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.codec.entropy.tables import INDEX_BOUNDS
from sclc_jax.codec.exact.control import interpolate
from sclc_jax.models.variable_rate import VariableRate


@functools.partial(jax.jit, static_argnums=0)
def _prior(config, params, z, y_hat):
  model, variables = VariableRate(config), {"params": params}
  side, importance = model.apply(variables, z[None], method="prior")
  mean, scale = model.apply(variables, side, y_hat[None], method="gaussian")
  return jnp.zeros_like(scale) if mean is None else mean, scale, importance


class FloatControl:
  """mask and index of a model by float32 arithmetic."""

  def __init__(self, model):
    self._model = model
    qv = model.qv
    gamma = np.ones((model.config.levels, model.config.M))
    if model.config.selective:
      curves = VariableRate(model.config).apply(
        {"params": model.params}, method="curves"
      )
      gamma = np.maximum(curves, 1e-3)
    self._gamma = jnp.asarray(interpolate(gamma), jnp.float32)
    self._qv = jnp.asarray(qv, jnp.float32)
    self._params = jax.tree.map(jnp.asarray, model.params)

  def prior(self, z: np.ndarray, y_hat: np.ndarray):
    """z [h, w, N] to float32 mean, scale and importance [4h, 4w, M].

    A context model reads y_hat [4h, 4w, M] as it was decoded: it counts the
    positions that differ although all before them agreed.
    """
    z = jnp.asarray(z, jnp.float32)
    mean, scale, importance = _prior(
      self._model.config, self._params, z, jnp.asarray(y_hat)
    )
    return mean[0], scale[0], None if importance is None else importance[0]

  def mask(self, importance, q: int, shape) -> np.ndarray:
    """Selected elements, bool [h, w, M]."""
    if importance is None:
      return np.ones(shape, bool)
    return np.asarray(jnp.power(importance, self._gamma[q]) > 0.5)

  def index(self, scale, mask: np.ndarray, q: int) -> np.ndarray:
    """Table index of the selected elements, int32 [n]."""
    ratio = np.asarray(scale / self._qv[q])[mask]
    bounds = np.asarray(INDEX_BOUNDS, np.float32)
    return np.searchsorted(bounds, ratio, side="left").astype(np.int32)
