"""Latent refinement: better symbols for a photo and a quality.

The analysis gives a good y at once, but not the best one for a photo and a
quality (Campos et al. 2019, arXiv 1906.01223; Yang et al. 2020, 2006.04240,
who follow gradients through a relaxed rounding). It is improved in two steps:

1. y is corrected by what the synthesis loses:
   a part of analysis(x) - analysis(synthesis(y)) is added. The high rates gain
   most.
2. Passes over the symbols follow. Each takes the gradient of the squared error
   and predicts, for every symbol, how one more or one less changes
   lmbda * error + bits. It makes a random part of the changes that pay, because
   a prediction holds only while the neighbours stay.

Only the encoder refines. Decoding stays the same, and as fast.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from sclc_jax.codec.entropy.range_coder import symbol_bits
from sclc_jax.codec.latents.analysis import Analysis
from sclc_jax.codec.latents.latent_coder import LatentCoder, coded_elements
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.pixels.picture import padded_part
from sclc_jax.codec.pixels.transforms import Transforms, levels, levels_in
from sclc_jax.codec.tiles import Tile, bands, tiles
from sclc_jax.config import ModelConfig
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn.pixels import to_pixels

MAX_PASSES = 64
# An element of y reaches blocks of pixels from one before to two after it, and
# these read y from two before to one after: in all, from 3 before to 3 after.
_MARGIN = (3, 3)
# All that follows was measured on crops of photographs at levels 1 to 8
# (docs/lab_notes.md). From the lowest level to the highest: the part of the
# correction that is added, and a factor on lmbda. At the low levels the same
# gain comes from fewer bits rather than from a better picture.
_DAMPING = (0.25, 0.75)
_WEIGHT = (0.85, 1.0)
# Random projections that estimate the curvature: two a pass, from 8 to 16.
_PROBES = (8, 16)
# Bounds of a curvature, as a multiple of the product of channel and position.
_RATIOS = (0.2, 5)
# From the first pass to the last: a factor on the curvature, as changes made
# together disturb each other; the part of the paying changes that is made.
_CAUTION = (1.3, 1.1)
_PART = (0.7, 0.25)


def check_effort(model: CodecModel, effort: int) -> None:
  """Raises a ValueError where latents of a model cannot be refined so."""
  if not 0 <= effort <= MAX_PASSES:
    raise ValueError(
      f"effort must lie in [0, {MAX_PASSES}], got {effort}; 4 gives most of "
      "the gain."
    )
  if effort and model.objective is None:
    raise ValueError(
      f"effort {effort} needs to know what a model was trained for, and the "
      f"file of model {model.fingerprint.hex()} does not say; make it anew "
      "with 'sclc export --workdir', or leave effort at 0."
    )
  if effort and model.objective.distortion != "mse":
    raise ValueError(
      f"effort {effort} lowers the squared error, and model "
      f"{model.fingerprint.hex()} was trained for "
      f"{model.objective.distortion}; leave effort at 0."
    )


class Refinement:
  """Finds better symbols of an image at a quality; safe to share by threads.

  Args:
    model: a frozen model that `check_effort` passes.
    transforms: of the model.
    latents: its coder of y.
    passes: over the symbols, at least 1.
    progress: shows a bar on stderr for each image.
  """

  def __init__(
    self,
    model: CodecModel,
    transforms: Transforms,
    latents: LatentCoder,
    passes: int,
    progress: bool = False,
  ):
    self._model = model
    self._progress = progress
    self._latents = latents
    self._passes = passes
    self._tile = transforms.tile
    # Predicted from each other, these cost more bits where passes move one.
    self._low = [] if model.lowpass is None else list(model.lowpass.channels)

    def apply(method: str, *arrays: np.ndarray) -> np.ndarray:
      shapes = (array.shape for array in arrays)
      return transforms.compile_once(
        ("refinement", method, *shapes),
        lambda: np.asarray(
          _apply(model.config, transforms.params, method, *arrays)
        ),
      )

    self._apply = apply

  def __call__(
    self, analysis: Analysis, mask: np.ndarray, q: int | np.ndarray
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `LatentCoder.quantise` of the image's y, with better symbols.

    Args:
      analysis: of the image.
      mask: bool [h, w, M], the elements to code.
      q: the quality step, an integer or an integer array [h, w].
    """
    parts = tiles(*analysis.y.shape[:2], self._tile, _MARGIN)
    rounds = self._passes + 4  # the corrections, curvatures, and two costs
    with tqdm.tqdm(
      total=rounds * len(parts), disable=not self._progress, leave=False,
      desc="refinement", unit="tile", file=sys.stderr,
    ) as bar:  # fmt: skip
      error = _Error(
        self._apply, analysis, self._lmbdas(q), levels(q), parts, bar.update
      )
      refined = self._refine(error, analysis, mask, q)
      plain = self._latents.quantise(analysis.y, analysis.side, mask, q)
      return min(plain, refined, key=lambda coded: self._cost(error, *coded))

  def _cost(self, error: _Error, index, symbols, y_hat) -> float:
    """lmbda * error + bits of y of what `LatentCoder.quantise` gives."""
    bits = symbol_bits(self._model.y_tables, symbols, index)
    return error.total(y_hat) + float(bits.sum(dtype=np.float64))

  def _refine(self, error: _Error, analysis: Analysis, mask, q):
    where = coded_elements(self._model, mask)
    coded = analysis.side, mask, q
    quantise, nearest = self._latents.quantise, self._latents.nearest
    qv, iqv = self._model.qv[q], self._model.iqv[q]
    unselected = quantise(analysis.y, *coded)[2]
    unrounded = np.where(mask, analysis.y * (iqv / qv), unselected)
    damping = np.float32(_between(_DAMPING, self._along(q)))
    y = analysis.y + damping[..., None] * error.returned(unrounded)
    index, symbols, y_hat = quantise(y, *coded)
    del unselected, unrounded, y  # what a large image cannot spare
    scale = np.broadcast_to(iqv, mask.shape).ravel()[where]
    kept = np.isin(where % mask.shape[-1], self._low)
    probes = int(np.clip(2 * self._passes, *_PROBES))
    curvature = error.curvature(y_hat, probes).ravel()[where] * scale**2
    for number in range(self._passes):
      along = number / max(1, self._passes - 1)
      slope = error.gradient(y_hat).ravel()[where] * scale
      caution = _between(_CAUTION, along)
      changes = np.empty(symbols.size, np.float32)
      for some in bands(changes.shape):
        changes[some] = self._changes(
          symbols[some], index[some], slope[some], curvature[some] * caution
        )
      part = _PART[0] * (_PART[1] / _PART[0]) ** along
      changes[_random(number, changes.size) >= part] = 0
      changes[kept] = 0
      y_hat.ravel()[where] += changes * scale
      index, symbols, y_hat = nearest(y_hat, *coded)
    return index, symbols, y_hat

  def _lmbdas(self, q: int | np.ndarray) -> np.ndarray:
    """Lagrange weight of each quality step, [] or [h, w]."""
    objective, along = self._model.objective, self._along(q)
    first, last = objective.lmbda_first, objective.lmbda_last
    return _between(_WEIGHT, along) * first * (last / first) ** along

  def _along(self, q: int | np.ndarray) -> np.ndarray:
    """Quality steps, 0 at the lowest and 1 at the highest."""
    return np.asarray(q) / (len(self._model.qv) - 1)

  def _changes(self, symbols, index, slope, curvature) -> np.ndarray:
    """-1, 0 or 1 for each symbol: the change that pays most, as predicted.

    Args:
      symbols: int32 [n].
      index: int32 [n], their tables.
      slope: float32 [n], bits of error that one more adds, to first order.
      curvature: float32 [n], the second derivative, bits.
    """
    tables = self._model.y_tables
    now = symbol_bits(tables, symbols, index)
    best = np.zeros(symbols.size)
    changes = np.zeros(symbols.size, np.float32)
    for change in (-1, 1):
      bits = symbol_bits(tables, symbols + np.int32(change), index)
      gain = now - bits - (change * slope + curvature / 2)
      changes[gain > best] = change
      best = np.maximum(best, gain)
    return changes


class _Error:
  """What the error of a picture is worth in bits, as a function of y_hat.

  That is lmbda, at each pixel, times its squared error, the mean over channels;
  the three channels of a gray picture are averaged first, as a decoder does.

  Args:
    apply: `_apply` of the model: (method, *arrays of a tile).
    analysis: of the image.
    lmbdas: Lagrange weight, [] or by position [h, w].
    level: of `transforms.levels`.
    tiles: that cover y, with a margin of `_MARGIN`.
    tick: called after each.
  """

  def __init__(
    self,
    apply: Callable,
    analysis: Analysis,
    lmbdas: np.ndarray,
    level: np.ndarray,
    tiles: list[Tile],
    tick: Callable[[], object],
  ):
    self._run = apply
    self._tiles = tiles
    self._tick = tick
    self._analysis = analysis
    self._level = level
    self._channels = 1 if analysis.image.ndim == 2 else 3
    self._weights = np.broadcast_to(
      np.float32(lmbdas / self._channels), analysis.y.shape[:2]
    )

  def returned(self, y: np.ndarray) -> np.ndarray:
    """y of the image less that of the synthesis of `y`, [h, w, M]."""
    return self._analysis.y - self._in_tiles("return", y, lambda *_: ())

  def total(self, y_hat: np.ndarray) -> float:
    """The error, bits."""
    error = self._in_tiles("error", y_hat, self._pixels, 1)
    return float(error.sum(dtype=np.float64))

  def gradient(self, y_hat: np.ndarray) -> np.ndarray:
    """Derivative of the error by each element of y_hat, [h, w, M], bits."""
    return self._in_tiles("gradient", y_hat, self._pixels)

  def _pixels(self, number: int, rows: slice, columns: slice):
    """The picture in a tile, and the weight of its pixels."""
    del number
    pixels = padded_part(self._analysis.image, rows, columns)
    pixels = pixels[..., : self._channels]  # those of gray are equal
    return pixels, self._weight_of_pixels(rows, columns)

  def curvature(self, y_hat: np.ndarray, probes: int) -> np.ndarray:
    """Second derivatives (Gauss-Newton) by each element alone, [h, w, M].

    Estimated from the gradients of random signs, and freed of their noise.
    """

    def inputs(number, rows, columns):
      weight = self._weight_of_pixels(rows, columns)
      shape = (probes, *weight.shape, self._channels)
      rng = np.random.default_rng(number)
      return weight, rng.integers(0, 2, shape, np.int8) * 2 - 1

    return _denoised(self._in_tiles("curvature", y_hat, inputs), probes)

  def _weight_of_pixels(self, rows: slice, columns: slice) -> np.ndarray:
    """Of a squared error: float32 [rows, columns]; 0 outside the picture."""
    i, j = (np.arange(part.start, part.stop) for part in (rows, columns))
    weight = self._weights[i[:, None] // 16, j // 16]
    inside = (i[:, None] < self._analysis.height) & (j < self._analysis.width)
    return weight * inside

  def _in_tiles(
    self, method: str, y: np.ndarray, inputs, channels: int | None = None
  ) -> np.ndarray:
    """A function of y, from each tile of it and its `inputs`.

    It has the positions of y, and as many channels unless told.
    """
    out = np.empty((*y.shape[:2], channels or y.shape[2]), np.float32)
    for number, tile in enumerate(self._tiles):
      pixels = (slice(16 * s.start, 16 * s.stop) for s in tile.source)
      known = y[tile.source], levels_in(self._level, tile.source)
      part = self._run(method, *known, *inputs(number, *pixels))
      out[tile.target] = np.asarray(part)[tile.inner]
      self._tick()
    return out


def _denoised(raw: np.ndarray, probes: int) -> np.ndarray:
  """Curvatures from estimates whose relative variance is 2 / `probes`.

  They are a factor of the channel times one of the position times a matrix of
  low rank, whose singular values are shrunk as is best against noise of a known
  variance (Gavish and Donoho 2017, arXiv 1405.7511).

  Args:
    raw: float32 [h, w, M], at least 0; overwritten, as it can be large.
    probes: the mean of that many squares made each element.
  """
  values = raw.reshape(-1, raw.shape[-1])
  channel = np.maximum(values.mean(0), 1e-20)
  values /= channel
  position = np.maximum(values.mean(1, keepdims=True), 1e-20)
  values /= position
  noise = 2 / (probes + 2) * max(np.mean(values**2), 1e-9)
  values -= 1
  long, short = max(values.shape), min(values.shape)
  beta = short / long
  power, vectors = np.linalg.eigh(values.T @ values)
  power = power / (long * noise)  # squared singular values; of noise, 1
  root = np.sqrt(np.maximum((power - beta - 1) ** 2 - 4 * beta, 0))
  above = power > (1 + np.sqrt(beta)) ** 2
  kept = np.where(above, root / np.maximum(power, 1), 0)
  values = values @ np.float32((vectors * kept) @ vectors.T)
  values += 1
  np.clip(values, *_RATIOS, out=values)
  values *= position
  values *= channel
  return values.reshape(raw.shape)


def _between(ends: tuple[float, float], along):
  """Of a line from the first of `ends` at 0 to the second at 1."""
  return ends[0] + (ends[1] - ends[0]) * along


def _random(number: int, count: int) -> np.ndarray:
  """float32 [count] in [0, 1), the same for every image and machine."""
  return np.random.default_rng(number).random(count, np.float32)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _apply(config: ModelConfig, params, method: str, y, level, *inputs):
  """What `_Error` runs on a tile: y [h, w, M] to [h, w, M], or [h, w, 1]."""
  model = VariableRate(config)

  def analysis(x):
    return model.apply({"params": params}, x[None], method="analysis")[0]

  def synthesis(y):
    inputs = y[None], level[None]
    return model.apply({"params": params}, *inputs, method="synthesis")[0]

  def samples(x_hat, channels):
    return x_hat.mean(-1, keepdims=True) if channels == 1 else x_hat

  if method == "return":
    return analysis(synthesis(y))
  if method in ("error", "gradient"):
    pixels, weight = inputs

    def squares(y):
      x_hat = jnp.clip(to_pixels(synthesis(y)), 0, 255)
      error = samples(x_hat, pixels.shape[-1]) - pixels
      return weight[..., None] * error**2

    if method == "gradient":
      return jax.grad(lambda y: squares(y).sum())(y)
    blocks = squares(y).reshape(y.shape[0], 16, y.shape[1], -1)
    return blocks.sum((1, 3))[..., None]
  weight, signs = inputs

  def picture(y):
    return samples(to_pixels(synthesis(y)), signs.shape[-1])

  pull = jax.vjp(picture, y)[1]
  root = jnp.sqrt(2 * weight[..., None])
  squares = jax.lax.map(lambda sign: pull(root * sign)[0] ** 2, signs)
  return squares.mean(0)
