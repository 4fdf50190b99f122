"""Fills the colours under an alpha of 0 from the visible ones around."""

from __future__ import annotations

import numpy as np


def fill_hidden(image: np.ndarray) -> np.ndarray:
  """Fills the colours under alpha 0 smoothly from the visible ones around.

  Whatever a program left there would cost bytes. By push-pull (Gortler et al.
  1996, "The Lumigraph"): averages of the visible colours on ever coarser
  grids, then back, each grid's gaps filled from the coarser one. It is a
  function of the visible pixels alone.

  Args:
    image: uint8 [H, W, 2] or [H, W, 4] with alpha; other shapes have none.

  Returns:
    The same shape, with alpha and visible colours as they were; the image
    itself where nothing is hidden.
  """
  if image.ndim == 2 or image.shape[2] == 3:
    return image
  seen = image[..., -1] > 0
  if seen.all():
    return image
  out = image.copy()
  for plane in np.moveaxis(out[..., :-1], -1, 0):
    known = np.where(seen, plane, 0).astype(np.float32)
    smooth = _filled(known, seen.astype(np.float32))
    plane[:] = np.where(seen, plane, np.round(smooth))
  return out


def _filled(sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """Float32 [h, w], of sums and how many pixels are in each, 0 or more."""
  known = sums / np.maximum(weight, 1)
  if weight.all() or weight.size == 1:
    return known if weight.any() else np.full_like(known, 128)
  coarse = _filled(_halved(sums), _halved(weight))
  height, width = weight.shape
  return np.where(weight > 0, known, _doubled(coarse)[:height, :width])


def _halved(values: np.ndarray) -> np.ndarray:
  """Sums of 2x2; an odd side gets zeros at its end."""
  v = np.pad(values, [(0, side % 2) for side in values.shape])
  return v[::2, ::2] + v[1::2, ::2] + v[::2, 1::2] + v[1::2, 1::2]


def _doubled(values: np.ndarray) -> np.ndarray:
  """Twice as large, linear between the centres."""
  for _ in range(2):  # rows, then columns
    v = np.pad(values, [(1, 1), (0, 0)], "edge")
    pair = [0.75 * values + 0.25 * near for near in (v[:-2], v[2:])]
    values = np.stack(pair, 1).reshape(-1, values.shape[1]).T
  return values
