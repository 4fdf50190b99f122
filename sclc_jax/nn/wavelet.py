"""A starting point for the transforms: cascaded 2x2 Hadamard transforms.

A transform that starts from Xavier noise needs many thousand steps to beat a
linear transform codec. This start is such a codec, and training improves on it.
Each stage splits every channel into its 2x2 Hadamard sub-bands and keeps as
many as the width allows, those of most energy first. The energies follow a
separable AR(1) image model: colour planes of energies 1, 0.06 and 0.02, whose
neighbours have correlations of 0.85, 0.95 and 0.95.

Training hardly repairs a bad choice of bands. The bands that 320 channels
cannot hold are a mean squared error of 9.6 on 12 photographs (a KLT: 6.6). With
a correlation of 0.95 for all planes it was 29.6, and still 27.0 after 6 hours
of training (experiments/bench/floor.py).
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

GAINS = (1.0, 1.0, 1.0, 6.0)  # the last sets the step of y at the top level
GAMMAS = (0.1 / 12, 0.1 / 48, 0.1 / 192)  # weak GDN for the growing DC
_COLOUR = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt(
  np.array([[3.0], [2.0], [6.0]])
)
_COLOUR_ENERGY = (1.0, 0.06, 0.02)
_CORRELATION = (0.85, 0.95, 0.95)
_NOISE = 0.05  # of Xavier's, breaks the symmetry of the unused taps


@dataclasses.dataclass(frozen=True)
class _Band:
  colour: int
  rows: tuple[float, ...]
  columns: tuple[float, ...]

  @property
  def energy(self) -> float:
    energy = _COLOUR_ENERGY[self.colour]
    for taps in (self.rows, self.columns):
      n = np.arange(len(taps))
      covariance = _CORRELATION[self.colour] ** np.abs(n[:, None] - n)
      energy *= np.array(taps) @ covariance @ np.array(taps)
    # Bands that differ in rows and columns tie, and NumPy's versions do not
    # agree on the last digits.
    return float(f"{energy:.9g}")


@functools.lru_cache
def cascade(N: int, M: int) -> tuple[list[np.ndarray], np.ndarray]:
  """Kernels of the four analysis convolutions, and the deviations of y.

  Args:
    N: width of the first three stages.
    M: width of y.

  Returns:
    Four kernels [5, 5, I, O]; the synthesis uses their transposes divided by
    the squared gain. The expected standard deviation of each channel of y,
    [M], for x in [-1, 1].
  """
  half = np.sqrt(0.5)
  bands = [_Band(c, (1.0,), (1.0,)) for c in range(3)]
  kernels = []
  for stage, width in enumerate((N, N, N, M)):
    children = []
    for parent, band in enumerate(bands):
      for a in (1, -1):
        for b in (1, -1):
          rows = tuple(half * v for v in band.rows) + tuple(
            a * half * v for v in band.rows
          )
          columns = tuple(half * v for v in band.columns) + tuple(
            b * half * v for v in band.columns
          )
          taps = half * half * np.array([[1, b], [a, a * b]])
          children.append((_Band(band.colour, rows, columns), parent, taps))
    children.sort(key=lambda child: -child[0].energy)
    children = children[:width]
    inputs = 3 if stage == 0 else N
    kernel = np.zeros((5, 5, inputs, width), np.float32)
    for out, (band, parent, taps) in enumerate(children):
      if stage == 0:
        kernel[1:3, 1:3, :, out] = (
          taps[:, :, None] * _COLOUR[band.colour] * GAINS[stage]
        )
      else:
        kernel[1:3, 1:3, parent, out] = taps * GAINS[stage]
    kernels.append(kernel)
    bands = [child[0] for child in children]
  deviation = np.full(M, 1.0, np.float32)
  total = float(np.prod(GAINS)) * 0.5  # photographs deviate by about 0.5
  deviation[: len(bands)] = [total * np.sqrt(b.energy) for b in bands]
  return kernels, deviation


def add_noise(kernel: np.ndarray, xavier):
  """Kernel plus a little of a Xavier kernel of the same shape."""
  return kernel + _NOISE * xavier
