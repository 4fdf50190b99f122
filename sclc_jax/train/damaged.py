"""A training set of which some images cannot be decoded."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

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

  _is_worker = False

  def __init__(self, images: Sequence, suspects: Iterable[int] = ()):
    """Takes a set, and those of its images that are tried at once."""
    self._images = images
    self._damaged: dict[int, str] = {}
    self._news: dict[int, str] = {}
    self._lock = threading.Lock()
    for index in suspects:
      self[index]

  def __getstate__(self):
    """For a worker process, which tells nobody but the one it works for."""
    return self.__dict__ | {"_lock": None, "_news": {}}

  def __setstate__(self, state):
    self.__dict__.update(state, _lock=threading.Lock(), _is_worker=True)

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, index: int) -> np.ndarray:
    if index in self._damaged:
      return _EMPTY
    try:
      return self._images[index]
    except ValueError as error:
      self.learn({index: str(error)})
      return _EMPTY

  def learn(self, damaged: Mapping[int, str]) -> None:
    """Counts and names images that cannot be decoded, each once."""
    with self._lock:
      for index in damaged.keys() - self._damaged.keys():
        self._damaged[index] = damaged[index]
        if self._is_worker:
          self._news[index] = damaged[index]
        elif len(self._damaged) <= _NAMED:
          say(f"skipped, the next one is taken instead: {damaged[index]}")

  def news(self) -> dict[int, str]:
    """What a worker process has met since it was last asked, to `learn`."""
    with self._lock:
      news, self._news = self._news, {}
    return news

  def tell(self) -> None:
    """Says how many were met, where not all of them have been named."""
    if len(self._damaged) > _NAMED:
      say(
        f"skipped {len(self._damaged)} of {len(self)} training images in all; "
        f"the first {_NAMED} are named above"
      )
