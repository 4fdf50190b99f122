"""Training images by number: random access, global shuffle, random crops.

A source is a sequence of images: a folder, a tfds set, or a list. The seed and
the number of an example decide its image, scale, square and flip. So a run can
start at any step, even in the middle of an epoch, and hosts can share a global
batch, without saved state and without messages.
"""

from __future__ import annotations

import concurrent.futures
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tqdm

from sclc_jax.buckets import Path, to_path
from sclc_jax.cpus import cpu_count
from sclc_jax.files import is_folder, is_there
from sclc_jax.images import find_images, load_rgb, load_size
from sclc_jax.train.damaged import Readable

_MAX_EXAMPLES = 2**52
_TRIES = 100  # images in a row that may be unusable


def open_images(source: str, crop_size: int, cache_mib: int) -> Readable:
  """The images of `data.source`, decoded when they are asked for.

  Args:
    source: `folder:PATH`, or `tfds:SET`, see `tfds_images.open_tfds`; the
      folder of a set alone, too.
    crop_size: of the crops that will be taken.
    cache_mib: decoded images that are held in memory, in all.

  Returns:
    A sequence of uint8 [H, W, 3] images, safe for several threads; those that
    are damaged are empty.
  """
  kind, _, path = source.partition(":")
  if kind not in ("folder", "tfds"):
    is_set = bool(source) and is_there(to_path(source) / "features.json")
    kind, path = ("tfds" if is_set else ""), source
  if kind == "folder" and path:
    folder = open_folder(path, crop_size)
    return Readable(Cache(folder, cache_mib), folder.suspects)
  if kind == "tfds" and path:
    from sclc_jax.train.tfds_images import open_tfds

    return Readable(Cache(open_tfds(path), cache_mib))
  raise ValueError(
    f"data.source is {source!r}; give --config.data.source=folder:PATH of your "
    "photographs, or tfds:SET."
  )


def threads() -> int:
  """Threads that decode: the CPUs this process may use, at most 16."""
  return min(16, cpu_count())


class Folder(Sequence):
  """Images in files, decoded at each access.

  Attributes:
    suspects: indices of those whose headers cannot be read.
  """

  def __init__(
    self, files: Sequence[Path], suspects: Sequence[int] = ()
  ):
    self._files = list(files)
    self.suspects = suspects

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> np.ndarray:
    return load_rgb(self._files[index])


def open_folder(path: str | os.PathLike, crop_size: int) -> Folder:
  """Every photograph below a folder, in the order of their names.

  Args:
    path: folder; files that the codec reads count, by their suffixes.
    crop_size: images with a shorter side below it are left out; those whose
      headers cannot be read are not.

  Returns:
    A sequence of uint8 [H, W, 3] images. Only headers have been read.
  """
  if not is_folder(path):
    raise ValueError(
      f"data.source names {path}, which is not a folder; "
      "give folder:PATH of a folder with photographs."
    )
  files = find_images(path)

  def shorter_side(file: Path) -> int | ValueError:
    try:
      return min(load_size(file))
    except ValueError as error:
      return error

  with concurrent.futures.ThreadPoolExecutor(threads()) as pool:
    sides = list(pool.map(shorter_side, files))
  errors = [side for side in sides if isinstance(side, ValueError)]
  if errors and len(errors) == len(files):
    raise ValueError(
      f"none of the {len(files)} images in {path} can be read; the first: "
      f"{errors[0]}"
    )
  # What is damaged keeps its number, as it would if that were seen later.
  kept = [
    (file, side)
    for file, side in zip(files, sides)
    if isinstance(side, ValueError) or side >= crop_size
  ]
  if len(kept) == len(errors):
    raise ValueError(
      f"{path} has no image of at least {crop_size} pixels a side "
      f"({len(files)} images found); lower data.crop_size or give another "
      "folder."
    )
  suspects = [
    i for i, (_, side) in enumerate(kept) if isinstance(side, ValueError)
  ]
  return Folder([file for file, _ in kept], suspects)


class Cache(Sequence):
  """Keeps the images of a sequence from their first use on, up to a bound."""

  def __init__(self, images: Sequence, mebibytes: int):
    self._images = images
    self._room = mebibytes * 2**20
    self._kept: dict[int, np.ndarray] = {}
    self._lock = threading.Lock()

  def __getstate__(self):
    """For a worker process, which keeps images of its own."""
    return self._images, self._room

  def __setstate__(self, state):
    images, room = state
    self.__init__(images, 0)
    self._room = room

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, index: int) -> np.ndarray:
    image = self._kept.get(index)
    if image is None:
      image = self._images[index]
      with self._lock:
        if index not in self._kept and image.nbytes <= self._room:
          self._kept[index] = image
          self._room -= image.nbytes
    return image


def decode_all(images: Sequence) -> list[np.ndarray]:
  """Every image of a sequence, by several threads, with a progress bar."""
  with concurrent.futures.ThreadPoolExecutor(threads()) as pool:
    return list(
      tqdm.tqdm(
        pool.map(images.__getitem__, range(len(images))),
        total=len(images),
        desc="decode",
        unit="image",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
      )
    )


class Square(NamedTuple):
  """Where an example lies in its image: a square, mirrored or not."""

  top: int
  left: int
  size: int
  flip: bool


def draw_square(
  shape: tuple[int, ...],
  number: int,
  *,
  crop_size: int,
  seed: int,
  max_downscale: float,
) -> Square:
  """Scale, square and flip of the example of a number.

  Args:
    shape: (H, W, ...) of the image, no side below `crop_size`.
    number: of the example.
    crop_size: what the square is scaled down to.
    seed: of everything that is drawn.
    max_downscale: largest size of the square, relative to `crop_size`.
  """
  rng = np.random.default_rng((seed, 1, number))
  limit = min(max_downscale, min(shape[:2]) / crop_size)
  size = int(round(crop_size * rng.uniform(1.0, max(limit, 1.0))))
  size = min(size, *shape[:2])
  top = int(rng.integers(shape[0] - size + 1))
  left = int(rng.integers(shape[1] - size + 1))
  return Square(top, left, size, bool(rng.random() < 0.5))


def cut(image: np.ndarray, square: Square, crop_size: int) -> np.ndarray:
  """The example: uint8 [crop_size, crop_size, 3]."""
  from PIL import Image

  top, left, size, flip = square
  patch = image[top : top + size, left : left + size]
  if size != crop_size:
    patch = np.asarray(
      Image.fromarray(patch).resize((crop_size, crop_size), Image.LANCZOS)
    )
  return patch[:, ::-1] if flip else patch


def make_batches(
  images: Sequence,
  *,
  crop_size: int,
  batch_size: int,
  seed: int,
  start_step: int = 0,
  max_downscale: float = 2.0,
  examples: range | None = None,
  finish: Callable[[int, Any, Square], np.ndarray] | None = None,
  workers: int = 0,
) -> Iterator[np.ndarray]:
  """Batches from `start_step` on, made ahead by threads or processes.

  Each epoch visits every image once, in an order drawn from (seed, epoch). An
  image that is smaller than the crop, as the empty ones of `damaged.Readable`
  are, is replaced by the one after it.

  Args:
    images: uint8 [H, W, 3] each.
    crop_size: side of the crops.
    batch_size: of all hosts together.
    seed: of everything that is drawn.
    start_step: the first batch's step.
    max_downscale: largest factor of the random downscaling.
    examples: those of each global batch that are wanted: one of the equal
      parts that it is dealt out in; all if None.
    finish: makes an example of (index, image, square); cuts it out if None.
    workers: processes that make batches in turn, the same ones; threads of
      this process do if 0. Images as of `open_images`.

  Yields:
    uint8 [len(examples), crop_size, crop_size, 3], or what `finish` gives,
    stacked; the batch of a step does not depend on the step at which the
    iterator was started.
  """
  import grain

  examples = range(batch_size) if examples is None else examples
  share = len(examples)
  assert batch_size % share == 0 and examples.start % share == 0, examples

  def usable(index: int) -> tuple[int, Any]:
    for i in range(min(_TRIES, len(images))):
      chosen = (index + i) % len(images)
      image = images[chosen]
      if min(image.shape[:2]) >= crop_size:
        return chosen, image
    raise ValueError(
      f"{i + 1} images in a row are damaged or smaller than {crop_size} pixels "
      "a side; lower data.crop_size or give another set."
    )

  def example(number: int, index: int) -> np.ndarray:
    index, image = usable(index)
    square = draw_square(
      image.shape,
      number,
      crop_size=crop_size,
      seed=seed,
      max_downscale=max_downscale,
    )
    if finish is not None:
      return finish(index, image, square)
    return cut(image, square, crop_size)

  # Not for ever: grain takes the length of that through a float.
  epochs = _MAX_EXAMPLES // len(images)
  numbered = grain.MapDataset.range(len(images)).shuffle(seed=seed)
  numbered = numbered.repeat(epochs)
  parts = numbered.map_with_index(example).batch(share)
  first = (start_step * batch_size + examples.start) // share
  mine = parts[first :: batch_size // share]
  if not workers:
    ahead = grain.ReadOptions(threads(), 2 * threads() + 2)
    yield from mine.to_iter_dataset(ahead)
    return
  from absl import flags

  if not flags.FLAGS.is_parsed():  # grain's have their defaults
    flags.FLAGS.mark_as_parsed()
  each = max(1, threads() // workers)
  told = mine.map(lambda batch: (batch, images.news()))
  told = told.to_iter_dataset(grain.ReadOptions(each, each + 1))
  options = grain.multiprocessing.MultiprocessingOptions(workers)
  made = iter(told.mp_prefetch(options))
  try:
    for batch, news in made:
      images.learn(news)
      yield batch
  except Exception as error:  # of a worker: grain gives its traceback as text
    _, is_ours, text = str(error).rpartition("\nValueError: ")
    if not is_ours:
      raise
    raise ValueError(text.strip()) from None
  finally:
    # The processes end with the iterator, in older versions by its deletion.
    getattr(made, "close", lambda: None)()
    del made
