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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PackedImages:
  """Images one after the other, without padding between them.

  Attributes:
    pixels: uint8 [3, P], channel by channel, so that the long axis is the
      contiguous one; row after row within an image.
    offsets: int32 [n], where each image starts.
    widths: int32 [n].
  """

  pixels: np.ndarray | jax.Array
  offsets: np.ndarray | jax.Array
  widths: np.ndarray | jax.Array


def pack(images: Sequence[np.ndarray], window: int) -> PackedImages:
  """Packs uint8 [H, W, 3] images.

  Args:
    images: decoded images.
    window: largest square that will be cut out of them, pixels.
  """
  counts = [image.shape[0] * image.shape[1] for image in images]
  total = sum(counts) + window  # no window reaches over the end
  if total > _MAX_PIXELS:
    raise ValueError(
      f"the set has {total} pixels; data.device_resident takes up to "
      f"{_MAX_PIXELS}. Set data.device_resident=false."
    )
  pixels = np.zeros((3, total), np.uint8)
  offsets = np.cumsum([0, *counts[:-1]])
  for start, count, image in zip(offsets, counts, images, strict=True):
    pixels[:, start : start + count] = image.reshape(count, 3).T
  widths = np.array([image.shape[1] for image in images], np.int32)
  return PackedImages(pixels, offsets.astype(np.int32), widths)


def resident(packed: PackedImages, crop_size: int, window: int) -> Resident:
  """The packed set as `loop.train` takes it; arguments as of `cut_examples`."""
  return Resident(
    packed, lambda data, rows: cut_examples(data, rows, crop_size, window)
  )


def packed_shapes(pixels: int, images: int) -> PackedImages:
  """Shapes of a packed set of so many."""
  each = jax.ShapeDtypeStruct((images,), np.int32)
  return PackedImages(jax.ShapeDtypeStruct((3, pixels), np.uint8), each, each)


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

  def one(row: jax.Array) -> jax.Array:
    index, top, left, size, flip = row
    first = packed.offsets[index] + left
    within = jnp.minimum(jnp.arange(window), size - 1)
    starts = first + (top + within) * packed.widths[index]
    lines = jax.vmap(
      lambda start: jax.lax.dynamic_slice(
        packed.pixels, (0, start), (3, window)
      )
    )(starts)  # [window, 3, window]
    weights = _lanczos(size, crop_size, window)

    def resample(spec: str, x: jax.Array) -> jax.Array:
      x = jnp.einsum(spec, weights, x, precision=jax.lax.Precision.HIGHEST)
      return jnp.clip(jnp.round(x), 0, 255)

    # Pillow too goes by rows first and rounds in between.
    across = resample("ow,rcw->rco", lines.astype(jnp.float32))
    patch = resample("pr,rco->poc", across).astype(jnp.uint8)
    return jnp.where(flip == 1, patch[:, ::-1], patch)

  return jax.vmap(one)(rows)


def _lanczos(size: jax.Array, crop_size: int, window: int) -> jax.Array:
  """Weights [crop_size, window] that scale `size` pixels to `crop_size`.

  Pillow's: Lanczos of three lobes, stretched by the factor, cut off at the
  patch's edge and scaled to sum 1.
  """
  factor = size.astype(jnp.float32) / crop_size
  centre = (jnp.arange(crop_size) + 0.5)[:, None] * factor
  x = (jnp.arange(window) + 0.5 - centre) / factor
  weights = jnp.where(jnp.abs(x) < 3, jnp.sinc(x) * jnp.sinc(x / 3), 0.0)
  weights = jnp.where(jnp.arange(window) < size, weights, 0.0)
  return weights / weights.sum(1, keepdims=True)
