"""Many images at once: images of one size share a call on an accelerator."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from sclc_jax.codec.pixels.transforms import Transforms
from sclc_jax.cpus import cpu_count

_T = TypeVar("_T")


def thread_pool() -> concurrent.futures.ThreadPoolExecutor:
  """For what is not in the transforms: coding, reading, writing."""
  return concurrent.futures.ThreadPoolExecutor(min(8, cpu_count()))


def in_stacks(
  transforms: Transforms,
  method: str,
  shapes: list[tuple[int, int]],
  stack: Callable[[list[int]], np.ndarray],
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
          outputs = transforms.run(method, stack(full))
        for index, output in zip(part, outputs):
          futures[index] = pool.submit(one, index, output)
        # No more than two stacks of outputs wait for the threads.
        concurrent.futures.wait(before)
        before = [futures[index] for index in part] if count > 1 else []
  return [futures[index].result() for index in range(len(shapes))]
