"""A PyTorch DataLoader over .sclc files, by Pillow: pictures a second.

    python experiments/bench/pillow_loader.py FOLDER [--workers 2] [--side 256]

The interpreter needs torch and torchvision, which sclc_jax does not install:
a virtual environment with both and sclc_jax serves. FOLDER has the layout of
torchvision's ImageFolder, CLASS/NAME.sclc.

`draft` lets large files come as previews. Workers are started by spawn, as JAX
must not be forked once it runs.
"""

from __future__ import annotations

import argparse
import time

from PIL import Image

import sclc_jax.pillow  # Pillow reads .sclc files from here on


def load(path: str, side: int) -> Image.Image:
  """A picture of at least so many pixels a side, by a preview if there is."""
  with Image.open(path) as image:
    image.draft("RGB", (side, side))
    return image.convert("RGB")


class Loader:
  """`load` for torchvision; spawned workers import this file, and so Pillow's
  plugin, when they get it."""

  def __init__(self, side: int):
    self._side = side

  def __call__(self, path: str) -> Image.Image:
    return load(path, self._side)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
  )
  parser.add_argument("folder", help="CLASS/NAME.sclc below it")
  parser.add_argument("--workers", type=int, default=2, help="processes")
  parser.add_argument("--side", type=int, default=256, help="of the crops")
  parser.add_argument("--batch", type=int, default=8, help="crops a batch")
  args = parser.parse_args()

  import torch
  from torchvision import datasets, transforms

  crop = transforms.Compose(
    [transforms.Resize(args.side), transforms.CenterCrop(args.side),
     transforms.ToTensor()]
  )  # fmt: skip
  data = datasets.DatasetFolder(
    args.folder, Loader(args.side), (sclc_jax.pillow.SUFFIX,), crop
  )
  batches = torch.utils.data.DataLoader(
    data,
    args.batch,
    num_workers=args.workers,
    multiprocessing_context="spawn" if args.workers else None,
  )
  start = time.perf_counter()
  count = sum(len(pixels) for pixels, _ in batches)
  taken = time.perf_counter() - start
  print(f"{count} pictures, {count / taken:.2f} a second")


if __name__ == "__main__":
  main()
