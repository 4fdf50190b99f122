"""Many images at once: images of one size share a call on an accelerator."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from sclc_jax.codec.pixels import picture
from sclc_jax.codec.pixels.transforms import Transforms, levels
from sclc_jax.codec.stream import bitstream, sections
from sclc_jax.cpus import cpu_count

_T = TypeVar("_T")


def thread_pool() -> concurrent.futures.ThreadPoolExecutor:
  """For what is not in the transforms: coding, reading, writing."""
  return concurrent.futures.ThreadPoolExecutor(min(8, cpu_count()))


def analyse(
  transforms: Transforms,
  images: list[np.ndarray],
  code: Callable[[np.ndarray, np.ndarray | None], _T],
) -> list[_T]:
  """What `code` makes of each image and its y, or None where it goes alone."""

  def one(index: int, y: np.ndarray | None) -> _T:
    return code(images[index], y)

  def stack(indexes: list[int]) -> tuple[np.ndarray]:
    pixels = (picture.without_alpha(images[i]) for i in indexes)
    return (np.stack([picture.padded(part) for part in pixels]),)

  shapes = [picture.grid(*image.shape[:2]) for image in images]
  return _in_stacks(transforms, "analysis", shapes, stack, one)


def synthesise(
  transforms: Transforms,
  files: list[bytes],
  symbols: Callable[[bytes], Any],
  alone: Callable[[bytes], np.ndarray],
) -> list[np.ndarray]:
  """The picture of each file: from its `symbols` in a stack, or by `alone`."""
  read = [bitstream.unpack(data) for data in files]

  def one(index: int, pixels: np.ndarray | None) -> np.ndarray:
    if pixels is None:
      return alone(files[index])
    file = read[index]
    image = picture.cropped(pixels, file.height, file.width, file.colour)
    return picture.with_alpha(image, sections.read_alpha(file))

  def stack(indexes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    with thread_pool() as pool:
      decoded = [*pool.map(symbols, (files[i] for i in indexes))]
    y_hat = np.stack([each.y_hat for each in decoded])
    shape = y_hat.shape[1:3]
    return y_hat, np.stack(
      [np.broadcast_to(levels(each.q), shape) for each in decoded]
    )

  shapes = [picture.grid(file.height, file.width) for file in read]
  method = transforms.to_picture
  return _in_stacks(transforms, method, shapes, stack, one)


def _in_stacks(
  transforms: Transforms,
  method: str,
  shapes: list[tuple[int, int]],
  stack: Callable[[list[int]], tuple[np.ndarray, ...]],
  one: Callable[[int, np.ndarray | None], _T],
) -> list[_T]:
  """Runs a transform on stacks of equal grids, and `one` in threads.

  Args:
    transforms: of the model.
    method: of the model, `analysis` or `synthesis`.
    shapes: grid of y of each item.
    stack: inputs of some items, stacked.
    one: takes an item, and its output, None where it goes alone.

  Returns:
    What `one` gave for each item, in order.
  """
  groups: dict[tuple[int, int], list[int]] = {}
  for index, shape in enumerate(shapes):
    groups.setdefault(shape, []).append(index)
  futures: dict[int, concurrent.futures.Future[_T]] = {}
  before: list[concurrent.futures.Future[_T]] = []
  with thread_pool() as pool:
    for (rows, columns), group in groups.items():
      count = transforms.stack_size(len(group), rows * columns)
      for start in range(0, len(group), count):
        part = group[start : start + count]
        if count == 1:
          outputs = [None]
        else:  # the same shape for the last of them: one compilation
          full = part + part[-1:] * (count - len(part))
          outputs = transforms.run(method, *stack(full))
        for index, output in zip(part, outputs):
          futures[index] = pool.submit(one, index, output)
        # No more than two stacks of outputs wait for the threads.
        concurrent.futures.wait(before)
        before = [futures[index] for index in part] if count > 1 else []
  return [futures[index].result() for index in range(len(shapes))]
