"""Pads pictures of any size for the transforms, and splits off alpha."""

from __future__ import annotations

import operator

import numpy as np

from sclc_jax.codec.exact.control import STRIDE
from sclc_jax.codec.stream import bitstream
from sclc_jax.images import fill_hidden


def prepared(image: np.ndarray, max_pixels: int) -> np.ndarray:
  """The image as it is coded: its colours under an alpha of 0 are filled.

  Args:
    image: uint8 [H, W, 3] or [H, W] (gray); with alpha [H, W, 4] or [H, W, 2].
    max_pixels: how many it may have.

  Raises:
    ValueError: it cannot be coded.
  """
  image = np.asarray(image)
  channels = image.shape[2] if image.ndim == 3 else 1
  if image.dtype != np.uint8 or not (
    image.ndim == 2 or (image.ndim == 3 and 2 <= channels <= 4)
  ):
    raise ValueError(
      "an image is uint8 [H, W, 3] or [H, W], or with alpha [H, W, 4] or "
      f"[H, W, 2], got {image.dtype} {list(image.shape)}."
    )
  height, width = image.shape[:2]
  if not (height and width) or height * width > max_pixels:
    raise ValueError(
      f"the image has {width}x{height} pixels; 1 to {max_pixels} can "
      "be coded (raise max_pixels, --max-pixels)."
    )
  if max(height, width) > bitstream.MAX_SIDE:
    raise ValueError(
      f"the image has {width}x{height} pixels; a side of up to "
      f"{bitstream.MAX_SIDE} can be coded: cut it into parts."
    )
  return fill_hidden(image)


def without_alpha(image: np.ndarray) -> np.ndarray:
  """Without alpha; the image itself where it has none."""
  if image.ndim == 2 or image.shape[2] == 3:
    return image
  return image[..., 0] if image.shape[2] == 2 else image[..., :3]


def with_alpha(image: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
  """The image with its alpha, uint8 [H, W], where it has some."""
  return image if alpha is None else np.dstack([image, alpha])


def middle(image: np.ndarray, side: int) -> np.ndarray:
  """The middle of an image, of at most so many pixels a side."""
  top, left = (max(0, size - side) // 2 for size in image.shape[:2])
  return image[top : top + side, left : left + side]


def grid(height: int, width: int) -> tuple[int, int]:
  """Rows and columns of y for a picture of so many pixels."""
  return -(-height // STRIDE) * 4, -(-width // STRIDE) * 4


def padded(image: np.ndarray) -> np.ndarray:
  """uint8 [H, W, 3] or [H, W] as RGB, edges repeated to whole positions."""
  rows, columns = grid(*image.shape[:2])
  return padded_part(image, slice(0, 16 * rows), slice(0, 16 * columns))


def cropped(
  pixels: np.ndarray, height: int, width: int, colour: int
) -> np.ndarray:
  """The picture in the RGB pixels that `run` gives for its grid."""
  image = empty_picture(height, width, colour)
  crop_into(image, pixels)
  return image


def padded_part(image: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
  """RGB pixels of a part of a picture whose edges are repeated without end."""
  i, j = (
    np.minimum(np.arange(part.start, part.stop), length - 1)
    for part, length in zip((rows, columns), image.shape)
  )
  part = image[i[:, None], j]
  return np.repeat(part[..., None], 3, -1) if part.ndim == 2 else part


def part_of(
  region: tuple[int, int, int, int], height: int, width: int
) -> tuple[slice, slice]:
  """Rows and columns of a region of a picture.

  Args:
    region: left column, top row, width and height, pixels.
    height: of the picture.
    width: likewise.

  Raises:
    ValueError: the region is empty, or not inside the picture.
  """
  try:
    x, y, w, h = (operator.index(number) for number in region)
  except (TypeError, ValueError):
    raise ValueError(
      f"a region is four whole numbers X,Y,W,H, got {region!r}."
    ) from None
  if min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height:
    raise ValueError(
      f"region {x},{y},{w},{h} (X,Y,W,H) is not inside the picture of "
      f"{width}x{height} pixels; X + W may be up to {width}, Y + H up to "
      f"{height}."
    )
  return slice(y, y + h), slice(x, x + w)


def crop_into(image: np.ndarray, pixels: np.ndarray) -> None:
  """Writes RGB pixels into a picture, which may be smaller, or gray."""
  pixels = pixels[: image.shape[0], : image.shape[1]]
  if image.ndim == 2:
    pixels = np.round(pixels.astype(np.float32).mean(-1))
  image[:] = pixels


def empty_picture(height: int, width: int, colour: int) -> np.ndarray:
  """uint8 [H, W, 3], or [H, W] where it is gray; not filled."""
  gray = colour == bitstream.GRAY
  return np.empty((height, width) if gray else (height, width, 3), np.uint8)
