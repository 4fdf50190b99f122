"""Counts the operations of convolutions and products in a traced step.

XLA's own count takes the body of a loop once and the dearest branch of a
conditional. Here a loop counts as often as it runs, and of the branches that
which has least, as in `traffic`. What else a step computes is not counted: it
is small, and no matrix unit runs it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def count(jaxpr: Any) -> int:
  """Multiplications and additions, of one device.

  Args:
    jaxpr: as of `jax.make_jaxpr`; of a pmapped function what one device does
      counts.
  """
  jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
  return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation: Any) -> int:
  name, params = equation.primitive.name, equation.params
  if name == "conv_general_dilated":
    return _convolution(equation)
  if name == "dot_general":
    (contracted, _), _ = params["dimension_numbers"]
    sizes = [equation.invars[0].aval.shape[axis] for axis in contracted]
    return 2 * _size(equation.outvars[0]) * math.prod(sizes)
  if name == "cond":
    return min(count(branch) for branch in params["branches"])
  inside = sum(count(value) for value in params.values() if _has_code(value))
  return inside * (params["length"] if name == "scan" else 1)


def _has_code(value: Any) -> bool:
  return hasattr(getattr(value, "jaxpr", value), "eqns")


def _size(variable: Any) -> int:
  return math.prod(variable.aval.shape)


def _convolution(equation: Any) -> int:
  """Two operations for each tap that lies on an element, not on padding."""
  params = equation.params
  numbers = params["dimension_numbers"]
  x, kernel = (variable.aval.shape for variable in equation.invars)
  out = equation.outvars[0].aval.shape
  pairs = 1
  for i, axis in enumerate(numbers.out_spec[2:]):
    pairs *= _pairs(
      out[axis],
      kernel[numbers.rhs_spec[2 + i]],
      x[numbers.lhs_spec[2 + i]],
      params["window_strides"][i],
      params["padding"][i][0],
      params["lhs_dilation"][i],
      params["rhs_dilation"][i],
    )
  batch, channels = (out[axis] for axis in numbers.out_spec[:2])
  return 2 * batch * channels * kernel[numbers.rhs_spec[1]] * pairs


def _pairs(
  out: int, taps: int, size: int, stride: int, pad: int, spread: int, gap: int
) -> int:
  """Pairs of an output and a tap that reads an element, along one axis.

  Args:
    out: outputs.
    taps: of the kernel.
    size: elements that are read.
    stride: from one output to the next.
    pad: elements before the first one.
    spread: `lhs_dilation`.
    gap: `rhs_dilation`.
  """
  at = np.arange(out)[:, None] * stride + np.arange(taps) * gap - pad
  inside = (at >= 0) & (at <= (size - 1) * spread) & (at % spread == 0)
  return int(inside.sum())
