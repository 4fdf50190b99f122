"""The transforms on pictures of any size: in tiles, or several in one call."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from sclc_jax.codec.exact.control import Q_PER_LEVEL, Z_MAX
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.pixels.picture import (
  crop_into,
  empty_picture,
  grid,
  padded_part,
)
from sclc_jax.codec.tiles import overlap, scaled, tiles
from sclc_jax.config import ModelConfig
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn.pixels import from_pixels, to_pixels

_T = TypeVar("_T")
TILE = 64  # positions of y a side: 1024x1024 pixels
# How far the edge of a tile reaches in, in positions of the grid (before,
# after), follows from the kernels: y[i] reads pixels 16 i - 15 to 16 i + 45,
# z[i] reads y from 4 i - 4 to 4 i + 10, and the block of 16 pixels at i reads
# y from i - 2 to i + 1, that of the shallow synthesis to i + 2.
MARGINS = {
  "analysis": (1, 2),
  "hyper_analysis": (1, 2),
  "synthesis": (2, 1),
  "fast": (2, 2),
}
_STACK_POSITIONS = 2**16  # of y in one call on an accelerator: 16 megapixels


@functools.partial(jax.jit, static_argnums=(0, 1))
def _apply(config, method, params, x, *level):
  if method == "analysis":
    x = from_pixels(x.astype(jnp.float32))
  out = VariableRate(config).apply({"params": params}, x, *level, method=method)
  if method in ("synthesis", "fast"):
    out = jnp.round(jnp.clip(to_pixels(out), 0, 255)).astype(jnp.uint8)
  return out


class Transforms:
  """Runs the transforms of a model; safe to share by threads.

  Attributes:
    compiled: (method, shape, type) of the inputs that have been run.
    params: of the model, on the device.
    tile: side of a tile, positions of y.
    to_picture: method of the model that `synthesis` runs: `synthesis`, or
      `fast`, the shallow one.

  Args:
    config: of the model.
    params: nested dict of its float32 parameters.
    tile: side of a tile, positions of y, a multiple of 4.
    fast: parameters of the shallow synthesis, where it makes the pictures.
    progress: shows a bar on stderr while an image of several tiles is run.
  """

  def __init__(
    self,
    config: ModelConfig,
    params: dict[str, Any],
    tile: int = TILE,
    fast: dict[str, Any] | None = None,
    progress: bool = False,
  ):
    self.compiled: set[tuple] = set()
    self.to_picture = "synthesis"
    if fast is not None:
      self.to_picture = "fast"
      config = dataclasses.replace(config, fast=True)
      params = {**params, "fast_synthesis": fast}
    self._config = config
    self.params = jax.device_put(params)
    self.tile = tile
    self._progress = progress
    # Threads that meet a new shape wait for one compilation.
    self._compiling = threading.Lock()

  @classmethod
  def of(cls, model: CodecModel, fast: bool, progress: bool) -> Transforms:
    """Those of a frozen model; pictures by its shallow synthesis if `fast`.

    Raises:
      ValueError: the model was read without it.
    """
    if fast and model.fast is None:
      raise ValueError(
        f"model {model.fingerprint.hex()} was read without its fast decoder; "
        "read it with fast=True, or leave fast out."
      )
    shallow = model.fast if fast else None
    return cls(model.config, model.params, fast=shallow, progress=progress)

  def analysis(self, image: np.ndarray) -> np.ndarray:
    """Image to y.

    Args:
      image: uint8 [H, W, 3] or [H, W] (gray). Its edges are repeated up to
        whole positions of z.

    Returns:
      float32 [h, w, M].
    """
    rows, columns = grid(*image.shape[:2])
    y = np.empty((rows, columns, self._config.M), np.float32)

    def read(row: slice, column: slice) -> tuple[np.ndarray]:
      return (padded_part(image, scaled(row, 16), scaled(column, 16)),)

    def write(target: tuple[slice, slice], part: np.ndarray) -> None:
      y[target] = part

    self._in_tiles("analysis", (rows, columns), 1, read, write)
    return y

  def hyper_analysis(self, y: np.ndarray) -> np.ndarray:
    """y to z, rounded, int32 [h/4, w/4, N]."""
    rows, columns = y.shape[0] // 4, y.shape[1] // 4
    z = np.empty((rows, columns, self._config.N), np.int32)

    def read(row: slice, column: slice) -> tuple[np.ndarray]:
      return (y[scaled(row, 4), scaled(column, 4)],)

    def write(target: tuple[slice, slice], part: np.ndarray) -> None:
      z[target] = np.clip(np.round(part), -Z_MAX, Z_MAX)

    self._in_tiles("hyper_analysis", (rows, columns), 1, read, write)
    return z

  def synthesis(
    self,
    y_hat: np.ndarray,
    q: int | np.ndarray,
    height: int,
    width: int,
    colour: int,
    part: tuple[slice, slice] | None = None,
  ) -> np.ndarray:
    """y_hat to the picture, or to a part of it.

    Args:
      y_hat: float32 [h, w, M], of the whole picture.
      q: the quality step, an integer or an integer array [h, w].
      height: of the picture, pixels.
      width: likewise.
      colour: of the file.
      part: rows and columns of pixels, not empty; None for all. Only tiles
        that reach into it are run, the same as for the whole picture.

    Returns:
      uint8 [rows, columns, 3], or [rows, columns] where it is gray.
    """
    part = part or (slice(0, height), slice(0, width))
    level = levels(q)
    image = empty_picture(*map(_length, part), colour)

    def wanted(target: tuple[slice, slice]) -> bool:
      return all(map(_length, map(overlap, target, part)))

    def read(row: slice, column: slice) -> tuple[np.ndarray, np.ndarray]:
      return y_hat[row, column], levels_in(level, (row, column))

    def write(target: tuple[slice, slice], pixels: np.ndarray) -> None:
      shared = [*map(overlap, target, part)]
      into = tuple(map(_seen_from, part, shared))
      crop_into(image[into], pixels[tuple(map(_seen_from, target, shared))])

    method = self.to_picture
    self._in_tiles(method, y_hat.shape[:2], 16, read, write, wanted)
    return image

  def stack_size(self, count: int, positions: int) -> int:
    """How many of `count` grids of y go through a transform in one call.

    One on a CPU, where a photo alone fills the cores.
    """
    if jax.default_backend() == "cpu":
      return 1
    return max(1, min(count, _STACK_POSITIONS // positions))

  def run(self, method: str, x: np.ndarray, *level: np.ndarray) -> np.ndarray:
    """A transform on a stack, whole.

    Args:
      method: `analysis`, `hyper_analysis`, or `to_picture`.
      x: its input: pixels as of `padded`, y, or y_hat; [B, ...].
      *level: with y_hat alone, its `levels`, [B, h, w] or [1, 1, 1].

    Returns:
      [B, ...]: y, z before it is rounded, or pixels for `cropped`.
    """
    return self.compile_once(
      (method, x.shape, x.dtype),
      lambda: np.asarray(_apply(self._config, method, self.params, x, *level)),
    )

  def compile_once(self, key: tuple, call: Callable[[], _T]) -> _T:
    """Calls what compiles at its first call; others of a key wait for that."""
    turn = contextlib.nullcontext()
    if key not in self.compiled:
      turn = self._compiling
    with turn:
      out = call()
    self.compiled.add(key)
    return out

  def _in_tiles(
    self,
    method: str,
    shape: tuple[int, int],
    scale: int,
    read: Callable[[slice, slice], tuple[np.ndarray, ...]],
    write: Callable[[tuple[slice, slice], np.ndarray], None],
    wanted: Callable[[tuple[slice, slice]], bool] = lambda target: True,
  ) -> None:
    """Runs a transform over a grid, in tiles where it is large.

    Args:
      method: of the model.
      shape: of the grid.
      scale: rows of output for each of the grid.
      read: inputs of a tile, by rows and columns of the grid.
      write: takes the rows and columns of output, and what belongs there.
      wanted: whether anything of these rows and columns is.
    """
    size = self.tile // 4 if method == "hyper_analysis" else self.tile
    targets = [
      (tile, tuple(scaled(s, scale) for s in tile.target))
      for tile in tiles(*shape, size, MARGINS[method])
    ]
    parts = [(tile, target) for tile, target in targets if wanted(target)]
    for tile, target in tqdm.tqdm(
      parts, desc=method.replace("_", " "), unit="tile", leave=False,
      file=sys.stderr, disable=not self._progress or len(parts) == 1,
    ):  # fmt: skip
      inputs = (array[None] for array in read(*tile.source))
      part = self.run(method, *inputs)[0]
      write(target, part[tuple(scaled(s, scale) for s in tile.inner)])


def levels(q: int | np.ndarray) -> np.ndarray:
  """Quality steps [h, w] as levels from 0, float32; of one step [1, 1]."""
  return np.atleast_2d(np.float32(q) / Q_PER_LEVEL)


def levels_in(level: np.ndarray, tile: tuple[slice, slice]) -> np.ndarray:
  """Those of `levels` in a part of the grid."""
  return level if level.size == 1 else level[tile]


def _length(part: slice) -> int:
  return part.stop - part.start


def _seen_from(origin: slice, part: slice) -> slice:
  return slice(part.start - origin.start, part.stop - origin.start)
