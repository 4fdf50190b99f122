"""Parameters as few arrays: the large ones, and one vector of all others.

A model has some sixty parameters, most of them tiny. A program with operations
for each takes long to compile, and an accelerator is busy starting them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

Path = tuple[str, ...]

_LARGE = 2**15  # elements; N=192 has its matrices of GDN among the large ones


@dataclasses.dataclass(frozen=True)
class Packing:
  """How parameters, nested dicts, are packed.

  The packed form has the keys `large`, with parameters as they are, and
  `small`, a vector; either is left out where it is empty.

  Attributes:
    large: shapes of the large parameters by path.
    small: shapes of the others, in their order in the vector.
  """

  large: dict[Path, tuple[int, ...]]
  small: dict[Path, tuple[int, ...]]

  @classmethod
  def of(
    cls, params: Any, apart: Callable[[Path], bool] = lambda path: False
  ) -> Packing:
    """For parameters, or shapes, like these.

    Args:
      params: nested dicts.
      apart: whether a parameter is kept as it is whatever its size.
    """
    shapes = {p: tuple(a.shape) for p, a in flatten_dict(params).items()}
    large = {
      path: shape
      for path, shape in shapes.items()
      if math.prod(shape) >= _LARGE or apart(path)
    }
    return cls(large, {p: s for p, s in shapes.items() if p not in large})

  def pack(self, params: Any) -> dict[str, Any]:
    """Nested dicts to the packed form."""
    leaves = flatten_dict(params)
    packed = {}
    if self.large:
      packed["large"] = unflatten_dict({p: leaves[p] for p in self.large})
    if self.small:
      small = [leaves[path].reshape(-1) for path in self.small]
      packed["small"] = jnp.concatenate(small)
    return packed

  def unpack(self, packed: dict[str, Any]) -> Any:
    """The nested dicts that `pack` has taken."""
    leaves = flatten_dict(packed.get("large", {}))
    if self.small:
      ends = np.cumsum([math.prod(shape) for shape in self.small.values()])
      pieces = jnp.split(packed["small"], ends[:-1].tolist())
      leaves |= {
        path: piece.reshape(shape)
        for (path, shape), piece in zip(self.small.items(), pieces)
      }
    return unflatten_dict(leaves)

  def each(self, value: Callable[[Path], float]) -> dict[str, Any]:
    """A number for each parameter, to broadcast with the packed form."""
    numbers = {}
    if self.large:
      numbers["large"] = unflatten_dict({p: value(p) for p in self.large})
    if self.small:
      values = np.array([value(path) for path in self.small], np.float32)
      sizes = [math.prod(shape) for shape in self.small.values()]
      same = np.all(values == values[0])
      numbers["small"] = values[0] if same else np.repeat(values, sizes)
    return numbers
