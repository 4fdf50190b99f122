"""How parameters start: drawn by NumPy, the same values on every machine.

JAX would compile its draws, once for each shape: 34 s with JAX 0.12 on two
cores for a model of N=8. So a module only declares how a parameter starts, and
`initial_params` draws it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

# Gives the values of a parameter of a shape.
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


class _Declared(flax.struct.PyTreeNode, nn.meta.AxisMetadata):
  """A parameter that is not drawn yet: its shape and how it starts."""

  value: jax.Array
  draw: Draw = flax.struct.field(pytree_node=False)

  def unbox(self) -> jax.Array:
    return self.value

  def replace_boxed(self, value: jax.Array) -> _Declared:
    return self.replace(value=value)

  def add_axis(self, index: int, params: dict) -> _Declared:
    return self

  def remove_axis(self, index: int, params: dict) -> _Declared:
    return self


def start(draw: Draw) -> Callable[[jax.Array, tuple[int, ...]], _Declared]:
  """What `self.param` takes for a parameter that starts with `draw`.

  A module's own `init` gives nan; take `initial_params`.
  """

  def declare(unused_key, shape):
    return _Declared(jnp.full(shape, jnp.nan), draw)

  return declare


def initial_shapes(module: nn.Module, *args: Any) -> Any:
  """Shapes of the parameters, as of `jax.eval_shape`; computes nothing."""
  return nn.meta.unbox(_declared(module, *args))


def initial_params(module: nn.Module, seed: int, *args: Any) -> Any:
  """Fresh float32 parameters: a function of seed, path and shape alone.

  Args:
    module: whose parameters are all declared by `start`.
    seed: any integer.
    *args: arrays of the shapes that its `__call__` takes.
  """

  def draw(path, declared):
    name = "/".join(part.key for part in path)
    key = hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16]
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
    shape = declared.value.shape
    values = np.broadcast_to(declared.draw(rng, shape), shape)
    return jnp.asarray(values.astype(np.float32))

  return jax.tree_util.tree_map_with_path(
    draw,
    _declared(module, *args),
    is_leaf=lambda leaf: isinstance(leaf, _Declared),
  )


def _declared(module: nn.Module, *args: Any) -> Any:
  key = jax.eval_shape(lambda: jax.random.key(0))
  return jax.eval_shape(module.init, key, *args)["params"]


def constant(value: float) -> Draw:
  """Every element is `value`."""
  return lambda rng, shape: np.full(shape, value)


zeros = constant(0.0)


def uniform(limit: float) -> Draw:
  """U(-limit, limit)."""
  return lambda rng, shape: limit * (2 * rng.random(shape) - 1)


def xavier(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Uniform, of variance 2 / (inputs + outputs) (Glorot and Bengio 2010).

  The last axes are input and output channels, those before are taps.
  """
  taps = int(np.prod(shape[:-2]))
  limit = (6 / (taps * (shape[-2] + shape[-1]))) ** 0.5
  return uniform(limit)(rng, shape)
