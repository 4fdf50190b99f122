"""RDOQ, rate-distortion optimised quantisation: rounding that saves bits.

The paper rounds to the nearest integer. Of the two integers next to a value,
the smaller one costs fewer bits, most of all if it is 0. For a value a little
above the middle, these bits are worth the larger error. Only the encoder
decides; a decoder reads either. `VariableRate` does the same where it trains on
rounded latents.
"""

from __future__ import annotations

import numpy as np

from sclc_jax.codec.entropy.range_coder import RangeTables, symbol_bits

_LARGEST = 15  # magnitude from which on the extra width is taken for the same


class RDOQ:
  """Rounds to the integer of least error^2 + weight * bits.

  Of the nearest integer and the next smaller one, that is.

  Args:
    tables: of the range coder, symmetric about 0.
    weight: squared units of QV a bit; 0 rounds to the nearest.
  """

  def __init__(self, tables: RangeTables, weight: float):
    rows = len(tables.cdf_offset)
    magnitude = np.arange(_LARGEST + 1, dtype=np.int32)
    bits = symbol_bits(
      tables,
      np.tile(magnitude, rows),
      np.repeat(np.arange(rows, dtype=np.int32), magnitude.size),
    ).reshape(rows, -1)
    extra = np.clip(weight / 2 * np.diff(bits), 0, 0.5)
    # Below this, counted from the nearest integer, the smaller one is taken.
    self._border = np.pad(extra - 0.5, ((0, 0), (1, 0)), constant_values=-1)
    self._border = self._border.astype(np.float32)

  def __call__(self, values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Integers, as floats, for values in units of QV.

    Args:
      values: float32 [n].
      index: int32 [n], table of each.
    """
    size = np.abs(values)
    nearest = np.round(size)
    column = np.minimum(nearest, _LARGEST).astype(np.int32)
    nearest -= size - nearest < self._border[index, column]
    return np.copysign(nearest, values)
