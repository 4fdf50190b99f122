"""A training set of which some images cannot be decoded."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np

from sclc_jax.train.progress import say

_NAMED = 3
_EMPTY = np.zeros((0, 0, 3), np.uint8)


class Readable(Sequence):
  """A set in which damaged images are empty ones, counted and named.

  `data.make_batches` puts the next image of the set in the stead of an empty
  one. So the examples of all other images stay what they were, and what stands
  in for a damaged one depends on neither the process nor where a run starts.
  """

  def __init__(self, images: Sequence, suspects: Iterable[int] = ()):
    """Takes a set, and those of its images that are tried at once."""
    self._images = images
    self._damaged: dict[int, str] = {}
    self._lock = threading.Lock()
    for index in suspects:
      self[index]

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, index: int) -> np.ndarray:
    if index in self._damaged:
      return _EMPTY
    try:
      return self._images[index]
    except ValueError as error:
      with self._lock:
        if index not in self._damaged:
          self._damaged[index] = str(error).rstrip(".")
          if len(self._damaged) <= _NAMED:
            say(f"skipped, the next one is taken instead: {error}")
      return _EMPTY

  def tell(self) -> None:
    """Says how many were met, where not all of them have been named."""
    if len(self._damaged) > _NAMED:
      say(
        f"skipped {len(self._damaged)} of {len(self)} training images in all; "
        f"the first {_NAMED} are named above"
      )
