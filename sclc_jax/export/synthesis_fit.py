"""A last layer of the synthesis that follows the quality, by least squares.

The first layers, and so the files, stay the same. Their output, at half the
picture's sides, is what the last layer reads: what is fitted to what the
picture lacks is linear, each parity of rows and columns alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.codec_model import CodecModel, with_fingerprint
from sclc_jax.codec.pixels.picture import middle, padded
from sclc_jax.export.freeze import as_stored
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn.pixels import to_pixels

_SIDE = 512  # pixels taken from the middle of each photograph
_EDGE = 16  # positions of the features left out beside the edges
_EVERY = 3  # of the others, those used are so far apart
_RIDGE = 0.005
# Taps of the kernel by the parity of the output, with the offset of what they
# read: out[2i + t - 1] += kernel[t] x[i].
_TAPS = (((1, 0), (3, -1)), ((0, 1), (2, 0), (4, -1)))


def fit_synthesis(
  model: CodecModel, images: Iterable[np.ndarray]
) -> tuple[CodecModel, float]:
  """Gives a model a conditional synthesis, or another one.

  Args:
    model: a frozen model of several levels.
    images: uint8 [H, W, 3] or [H, W], of which the middle counts, at two levels
      each; not those that the model will be judged by.

  Returns:
    The model with it: another one, to its files; and the part of the squared
    error that it takes away, the mean over the levels, of these photographs.
  """
  count = model.config.levels
  codec = Codec(model)
  sums: dict[int, list] = {}
  for number, image in enumerate(images):
    image = middle(image, _SIDE)
    if min(image.shape[:2]) < 4 * _EDGE + 64:
      continue
    analysis = codec.analyse(image)
    for level in {number % count, (number + count // 2) % count}:
      moments = _moments(codec, analysis, padded(image), level, number)
      known = sums.setdefault(level, [0.0, 0.0, 0.0])
      sums[level] = [a + np.asarray(b) for a, b in zip(known, moments)]
  if not sums:
    raise ValueError(
      f"a synthesis is fitted to photographs of at least {4 * _EDGE + 64} "
      "pixels a side, and there are none."
    )
  added, gain = _solve(sums, count)
  return _with_last_layer(model, added), gain


def _moments(codec: Codec, analysis, pixels: np.ndarray, level: int, seed: int):
  """Of a picture at a level, from 0: what least squares need.

  Returns:
    Sums over positions of products of the terms [9 N + 1, 9 N + 1], of these
    with what is lacking [9 N + 1, 12], and of its squares [].
  """
  y_hat = codec.y_hat(analysis, 1 + level)[None]
  at = np.float32(level)
  start = tuple(np.random.default_rng(seed).integers(0, _EVERY, 2))
  config, params = codec.model.config, codec.transforms.params
  return _products(config, params, y_hat, at, pixels, np.int32(start))


@functools.partial(jax.jit, static_argnums=0)
def _products(config, params, y_hat, level, pixels, start):
  out, state = VariableRate(config).apply(
    {"params": params}, y_hat, level, method="synthesis",
    capture_intermediates=lambda module, _: module.name == "igdn_0",
    mutable=["intermediates"],
  )  # fmt: skip
  features = jax.tree.leaves(state)[0][0]
  lacking = pixels - jnp.clip(to_pixels(out[0]), 0, 255)
  rows, columns, _ = features.shape
  size = tuple(side - 2 * _EDGE - _EVERY for side in (rows, columns))

  def part(x, i, j):
    """x, moved by (i, j), where it counts: [n, C]."""
    at = (_EDGE + start[0] + i, _EDGE + start[1] + j, 0)
    x = jax.lax.dynamic_slice(x, at, (*size, x.shape[-1]))
    return x[::_EVERY, ::_EVERY].reshape(-1, x.shape[-1])

  terms = [part(features, i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
  ones = jnp.ones((len(terms[0]), 1))
  terms = jnp.concatenate([*terms, ones], -1)
  lacking = lacking.reshape(rows, 2, columns, 2, 3).transpose(0, 2, 1, 3, 4)
  lacking = part(lacking.reshape(rows, columns, 12), 0, 0)
  return terms.T @ terms, terms.T @ lacking, (lacking**2).sum()


def _solve(sums: dict[int, list], count: int) -> tuple[dict[str, Any], float]:
  """What to add to the last layer.

  Args:
    sums: of `_moments` over photographs, by level from 0.
    count: of levels.

  Returns:
    `kernel` and `kernel_slope` [5, 5, N, 3], `bias` and `bias_slope` [3]; and
    the part of the squared error that they take away, the mean over levels.
  """
  terms = len(next(iter(sums.values()))[0])
  N = (terms - 1) // 9
  lines = {level: np.array([1, 2 * level / (count - 1) - 1]) for level in sums}
  kernel, bias = np.zeros((2, 5, 5, N, 3)), np.zeros((2, 3))
  gain = 0.0
  for i, rows in enumerate(_TAPS):
    for j, columns in enumerate(_TAPS):
      taps = [(t, u, 3 * a + b + 4) for t, a in rows for u, b in columns]
      read = [np.arange(N) + N * at for _, _, at in taps] + [[terms - 1]]
      read = np.concatenate(read)
      colours = slice(6 * i + 3 * j, 6 * i + 3 * j + 3)
      parts = [
        (lines[level], squares[np.ix_(read, read)] / total,
         products[read][:, colours] / total)
        for level, (squares, products, total) in sums.items()
      ]  # fmt: skip
      weights = _ridge(parts)
      for line, squares, products in parts:
        at = np.tensordot(line, weights, 1)
        gain += (2 * at * products - at * (squares @ at)).sum() / len(parts)
      bias += weights[:, -1] / 4
      for k, (t, u, _) in enumerate(taps):
        kernel[:, t, u] = weights[:, N * k : N * k + N]
  added = {
    "kernel": kernel[0], "kernel_slope": kernel[1],
    "bias": bias[0], "bias_slope": bias[1],
  }  # fmt: skip
  unit = to_pixels(1.0) - to_pixels(0.0)
  return {name: value / unit for name, value in added.items()}, gain


def _ridge(parts: list[tuple]) -> np.ndarray:
  """Weights [2, n, 3] of n terms and their slopes, by ridge regression.

  Args:
    parts: of each level its line [2], products of terms [n, n], and of these
      with three colours [n, 3].
  """
  deviation = np.sqrt(sum(np.diag(squares) for _, squares, _ in parts) + 1e-12)
  square = sum(
    np.kron(np.outer(line, line), squares / deviation / deviation[:, None])
    for line, squares, _ in parts
  )
  product = sum(
    np.kron(line[:, None], products / deviation[:, None])
    for line, _, products in parts
  )
  square[np.diag_indices(len(square))] += _RIDGE
  weights = scipy.linalg.solve(square, product, assume_a="pos")
  return weights.reshape(2, -1, 3) / deviation[:, None]


def _with_last_layer(model: CodecModel, added: dict[str, Any]) -> CodecModel:
  base = dict(model.params["base"])
  before = base["synthesis"]["conv_0"]
  last = as_stored({k: before.get(k, 0.0) + v for k, v in added.items()})
  base["synthesis"] = {**base["synthesis"], "conv_0": last}
  config = dataclasses.replace(model.config, conditional=True)
  params = {**model.params, "base": base}
  return with_fingerprint(
    dataclasses.replace(model, config=config, params=params)
  )
