"""The two scales of a picture: pixels 0..255, and [-1, 1] in the transforms."""

from __future__ import annotations

from typing import TypeVar

_HALF_RANGE = 127.5
_Array = TypeVar("_Array")  # of NumPy or JAX, float


def from_pixels(pixels: _Array) -> _Array:
  """Float pixels in [0, 255] to x in [-1, 1]."""
  return pixels / _HALF_RANGE - 1.0


def to_pixels(x: _Array) -> _Array:
  """x about [-1, 1] to pixels about [0, 255]; neither rounds nor clips."""
  return (x + 1.0) * _HALF_RANGE
