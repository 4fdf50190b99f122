"""Training images: a folder decoded once, then random crops by number.

Every crop is a pure function of (seed, example number), so a run can start at
any step, and hosts can share a global batch, without any saved state.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import sys
from collections.abc import Iterator

import numpy as np
import tqdm

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def open_folder(path: str | os.PathLike, crop_size: int) -> list[np.ndarray]:
  """Decodes every photograph below a folder, in the order of their names.

  Args:
    path: folder; PNG, JPEG and WebP files below it are read.
    crop_size: images with a shorter side below it are left out.

  Returns:
    uint8 [H, W, 3] images, held in memory.
  """
  from PIL import Image

  root = pathlib.Path(path)
  if not root.is_dir():
    raise ValueError(
      f"data.source names {path}, which is not a folder; "
      "give folder:PATH of a folder with photographs."
    )
  files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)

  def decode(file: pathlib.Path) -> np.ndarray:
    try:
      with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
    except OSError as error:
      raise ValueError(
        f"{file} cannot be decoded ({error}); remove it from the folder."
      ) from None

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    decoded = list(
      tqdm.tqdm(
        pool.map(decode, files),
        total=len(files),
        desc="decode",
        unit="image",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
      )
    )
  images = [image for image in decoded if min(image.shape[:2]) >= crop_size]
  if not images:
    raise ValueError(
      f"{path} has no PNG, JPEG or WebP image of at least {crop_size} pixels "
      f"a side ({len(files)} images found); lower data.crop_size or give "
      "another folder."
    )
  return images


def crop(
  images: list[np.ndarray],
  number: int,
  *,
  crop_size: int,
  seed: int,
  max_downscale: float,
) -> np.ndarray:
  """The training example of a number: image, scale, place and flip drawn.

  Each epoch visits every image once, in an order drawn from (seed, epoch).
  """
  from PIL import Image

  epoch, place = divmod(number, len(images))
  order = np.random.default_rng((seed, 0, epoch)).permutation(len(images))
  image = images[order[place]]
  rng = np.random.default_rng((seed, 1, number))
  limit = min(max_downscale, min(image.shape[:2]) / crop_size)
  size = int(round(crop_size * rng.uniform(1.0, max(limit, 1.0))))
  size = min(size, *image.shape[:2])
  top = rng.integers(image.shape[0] - size + 1)
  left = rng.integers(image.shape[1] - size + 1)
  patch = image[top : top + size, left : left + size]
  if size != crop_size:
    patch = np.asarray(
      Image.fromarray(patch).resize((crop_size, crop_size), Image.LANCZOS)
    )
  return patch[:, ::-1] if rng.random() < 0.5 else patch


def make_batches(
  images: list[np.ndarray],
  *,
  crop_size: int,
  batch_size: int,
  seed: int,
  start_step: int = 0,
  max_downscale: float = 2.0,
  examples: range | None = None,
  prefetch: int = 4,
) -> Iterator[np.ndarray]:
  """Batches from `start_step` on, made ahead by one thread.

  Args:
    images: as from `open_folder`.
    crop_size: side of the crops.
    batch_size: of all hosts together.
    seed: of everything that is drawn.
    start_step: the first batch's step.
    max_downscale: largest factor of the random downscaling.
    examples: those of each global batch that are wanted; all if None.
    prefetch: batches made ahead.

  Yields:
    uint8 [len(examples), crop_size, crop_size, 3]; the batch of a step does
    not depend on the step at which the iterator was started.
  """
  examples = range(batch_size) if examples is None else examples

  def batch(step: int) -> np.ndarray:
    return np.stack(
      [
        crop(
          images,
          step * batch_size + example,
          crop_size=crop_size,
          seed=seed,
          max_downscale=max_downscale,
        )
        for example in examples
      ]
    )

  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    ahead = [pool.submit(batch, start_step + i) for i in range(prefetch)]
    step = start_step
    while True:
      ahead.append(pool.submit(batch, step + prefetch))
      yield ahead.pop(0).result()
      step += 1
