"""A training set in device memory, cropped inside the jitted step.

The host only draws the positions of the crops, by the same function as for
crops that it cuts itself. So both ways train on the same examples. The
resampling differs from Pillow's by one step of 255 at most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.train.data import Square
from sclc_jax.train.step import Resident

_MAX_PIXELS = 2**31 - 1  # indices on the device are int32
# Pixels of a block. A TPU reads whole ones in one operation, as its lanes are
# 128; what starts anywhere it reads in a loop with a turn for each line.
_BLOCK = 128


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PackedImages:
  """Images one after the other, each row in whole blocks.

  Attributes:
    blocks: uint8 [P, 3 * 128], channel by channel within a block, so that the
      long axis is the contiguous one; row after row within an image.
    offsets: int32 [n], the block where each image starts.
    pitches: int32 [n], blocks from a row to the next.
  """

  blocks: np.ndarray | jax.Array
  offsets: np.ndarray | jax.Array
  pitches: np.ndarray | jax.Array


def pack(images: Sequence[np.ndarray]) -> PackedImages:
  """Packs uint8 [H, W, 3] images."""
  pitches = [-(-image.shape[1] // _BLOCK) for image in images]
  counts = [
    image.shape[0] * pitch for image, pitch in zip(images, pitches, strict=True)
  ]
  if (pixels := sum(counts) * _BLOCK) > _MAX_PIXELS:
    raise ValueError(
      f"the set has {pixels} pixels; data.device_resident takes up to "
      f"{_MAX_PIXELS}. Set data.device_resident=false."
    )
  blocks = np.zeros((sum(counts), 3 * _BLOCK), np.uint8)
  offsets = np.cumsum([0, *counts[:-1]])
  for start, pitch, image in zip(offsets, pitches, images, strict=True):
    height, width, _ = image.shape
    rows = np.zeros((height, pitch * _BLOCK, 3), np.uint8)
    rows[:, :width] = image
    rows = rows.reshape(-1, _BLOCK, 3).transpose(0, 2, 1)
    blocks[start : start + len(rows)] = rows.reshape(-1, 3 * _BLOCK)
  return PackedImages(
    blocks, offsets.astype(np.int32), np.array(pitches, np.int32)
  )


def resident(packed: PackedImages, crop_size: int, window: int) -> Resident:
  """The packed set as `loop.train` takes it; arguments as of `cut_examples`."""
  return Resident(
    packed, lambda data, rows: cut_examples(data, rows, crop_size, window)
  )


def packed_shapes(pixels: int, images: int) -> PackedImages:
  """Shapes of a packed set of so many."""
  each = jax.ShapeDtypeStruct((images,), np.int32)
  blocks = (-(-pixels // _BLOCK), 3 * _BLOCK)
  return PackedImages(jax.ShapeDtypeStruct(blocks, np.uint8), each, each)


def shapes_of(images: Sequence[np.ndarray]) -> list[np.ndarray]:
  """Stand-ins for the images that have their shapes and no memory."""
  return [np.broadcast_to(np.uint8(0), image.shape) for image in images]


# What `to_row` gives of an example.
ROW = jax.ShapeDtypeStruct((5,), np.int32)


def to_row(index: int, unused_image: np.ndarray, square: Square) -> np.ndarray:
  """What the device needs to know of an example: int32 [5]."""
  return np.array([index, *square], np.int32)


def largest_square(
  images: Sequence[np.ndarray], crop_size: int, max_downscale: float
) -> int:
  """The largest side of a square that can be drawn, pixels."""
  side = max(min(image.shape[:2]) for image in images)
  return min(side, int(round(crop_size * max_downscale)))


def cut_examples(
  packed: PackedImages, rows: jax.Array, crop_size: int, window: int
) -> jax.Array:
  """Cuts examples out of the packed set.

  Args:
    packed: the set.
    rows: int32 [B, 5], see `to_row`.
    crop_size: side of the examples.
    window: side of the largest square.

  Returns:
    uint8 [B, crop_size, crop_size, 3].
  """

  # Blocks that a line can reach into, wherever in a block it starts.
  reach = -(-(window + _BLOCK - 1) // _BLOCK)

  def one(row: jax.Array) -> jax.Array:
    index, top, left, size, flip = row
    within = jnp.minimum(jnp.arange(window), size - 1)
    starts = packed.offsets[index] + (top + within) * packed.pitches[index]
    numbers = starts[:, None] + left // _BLOCK + jnp.arange(reach)
    # Beyond the set lies nothing that has a weight.
    lines = jnp.take(packed.blocks, numbers, axis=0, mode="clip")
    lines = lines.reshape(window, reach, 3, _BLOCK).transpose(0, 2, 1, 3)
    lines = lines.reshape(window, 3, reach * _BLOCK)
    weights = _lanczos(size, crop_size, window)
    moved = _lanczos(size, crop_size, reach * _BLOCK, left % _BLOCK)

    def resample(spec: str, weights: jax.Array, x: jax.Array) -> jax.Array:
      x = jnp.einsum(spec, weights, x, precision=jax.lax.Precision.HIGHEST)
      return jnp.clip(jnp.round(x), 0, 255)

    # Pillow too goes by rows first and rounds in between.
    across = resample("ow,rcw->rco", moved, lines.astype(jnp.float32))
    patch = resample("pr,rco->poc", weights, across).astype(jnp.uint8)
    return jnp.where(flip == 1, patch[:, ::-1], patch)

  return jax.vmap(one)(rows)


def _lanczos(
  size: jax.Array,
  crop_size: int,
  window: int,
  start: jax.Array | int = 0,
) -> jax.Array:
  """Weights [crop_size, window] that scale `size` pixels to `crop_size`.

  Pillow's: Lanczos of three lobes, stretched by the factor, cut off at the
  patch's edge and scaled to sum 1.

  Args:
    size: side of the patch, pixels.
    crop_size: side of the examples.
    window: pixels that are read, at least `start + size`.
    start: how many of them come before the patch.
  """
  factor = size.astype(jnp.float32) / crop_size
  centre = (jnp.arange(crop_size) + 0.5)[:, None] * factor
  at = jnp.arange(window) - start
  x = (at + 0.5 - centre) / factor
  weights = jnp.where(jnp.abs(x) < 3, jnp.sinc(x) * jnp.sinc(x / 3), 0.0)
  weights = jnp.where((at >= 0) & (at < size), weights, 0.0)
  return weights / weights.sum(1, keepdims=True)
