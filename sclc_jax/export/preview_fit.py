"""The map from features of y_hat to small pictures, by least squares."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.model.preview_file import Preview
from sclc_jax.codec.pixels.picture import middle, padded
from sclc_jax.codec.pixels.preview import REACH, SIDE, features

_CROP = 384  # pixels taken from the middle of each photograph
_LEVELS = (2, 4, 7)  # one a photograph, in turns
_RIDGE = 1e-6  # of the mean square of what the map reads
_CHANNELS = 96  # at most; 192 are no better, and take twice as long
_Example = tuple[np.ndarray, np.ndarray]  # y_hat [h, w, M], pixels [4 h w, 48]


def fit_preview(model: CodecModel, images: Iterable[np.ndarray]) -> CodecModel:
  """Gives a model what its previews need; its files stay the same.

  Args:
    model: a frozen model; its own preview, if it has one, is replaced.
    images: uint8 [H, W, 3] or [H, W]; a hundred of them are enough.

  Returns:
    The model with a preview.
  """
  codec = Codec(model)
  examples = []
  for number, image in enumerate(images):
    image = middle(image, _CROP)
    level = min(_LEVELS[number % len(_LEVELS)], model.top_quality)
    y_hat = codec.y_hat(codec.analyse(image), level)
    examples.append((y_hat, _half_size(padded(image))))
  if not examples:
    raise ValueError("a preview is fitted to photographs, and there are none.")
  params = codec.transforms.params["base"]["synthesis"]
  channels = np.arange(model.config.N)
  if channels.size > _CHANNELS:
    pixels, read = _fit(params, channels, examples)
    power = (read * np.square(pixels).sum(1))[:-1]
    strongest = np.argsort(power.reshape(-1, channels.size).sum(0))
    channels = np.sort(strongest[-_CHANNELS:])
  pixels, _ = _fit(params, channels, examples)
  return dataclasses.replace(model, preview=Preview(channels, pixels))


def _fit(
  params: Any, channels: np.ndarray, examples: list[_Example]
) -> tuple[np.ndarray, np.ndarray]:
  """The map from these channels, and the sum of squares of all it reads."""
  moments = products = 0.0
  for y_hat, half in examples:
    read = features(params, channels, y_hat[None])
    read = _neighbourhoods(np.asarray(read)[0])
    moments = moments + read.T @ read
    products = products + read.T @ half
  moments = np.asarray(moments, np.float64)
  squares = np.diag(moments).copy()
  moments[np.diag_indices(len(moments))] += _RIDGE * squares.mean()
  return np.linalg.solve(moments, products).astype(np.float32), squares


def _neighbourhoods(x: np.ndarray) -> np.ndarray:
  """[h, w, N] to what the map reads at each position, [h w, 9 N + 1]."""
  rows, columns, _ = x.shape
  x = np.pad(x, [(1, 1), (1, 1), (0, 0)], "edge")
  taps = [
    x[i : i + rows, j : j + columns]
    for i in range(REACH)
    for j in range(REACH)
  ]
  ones = np.ones((rows, columns, 1), np.float32)
  return np.concatenate([*taps, ones], -1).reshape(rows * columns, -1)


def _half_size(image: np.ndarray) -> np.ndarray:
  """Averages of 2x2 pixels, in [-1, 1], by positions of 8x8: [h w, 48]."""
  rows, columns = image.shape[0] // 8, image.shape[1] // 8
  pixels = image.reshape(rows, SIDE, 2, columns, SIDE, 2, 3)
  half = pixels.mean((2, 5), dtype=np.float32).swapaxes(1, 2)
  return half.reshape(rows * columns, -1) / 127.5 - 1
