"""Images a second of the input pipeline: folder, tfds set, device-resident.

    python experiments/bench/input_pipeline.py --images PHOTOS --step-s 0.1

Crops of random scale, batch after batch, with nothing else running. Folder and
tfds set are measured twice: each image decoded at every use (a set larger than
`data.cache_mib`), and held in memory. Device-resident data is cut by the
device itself. `--step-s`, a training step's time, adds what that step needs.
"""

import pathlib
import tempfile
import time

import common  # isort: skip (it sets up BLAS, before NumPy)
import jax
import numpy as np
from PIL import Image

from sclc_jax.images import find_images
from sclc_jax.train import device_data
from sclc_jax.train.data import (
  Cache,
  decode_all,
  make_batches,
  open_folder,
  threads,
)
from sclc_jax.train.tfds_images import open_tfds, write_tfds


def example_folder(folder: pathlib.Path, count: int = 48) -> pathlib.Path:
  """JPEG photographs of 768x512, made from the one that is shipped."""
  photo = common.photo(1152, 768)
  for i in range(count):
    y, x = (i % 8) * 32, (i // 8) * 64
    file = folder / f"{i:03d}.jpg"
    Image.fromarray(photo[y : y + 512, x : x + 768]).save(file, quality=95)
  return folder


def rate(batches, batch: int, count: int, use=None) -> float:
  """Images a second over `count` batches, after two."""
  for _ in range(2):
    result = next(batches)
    if use is not None:
      use(result)
  start = time.perf_counter()
  for _ in range(count):
    result = next(batches)
    if use is not None:
      use(result)
  return batch * count / (time.perf_counter() - start)


def main() -> None:
  parser = common.argument_parser(__doc__, "--batch", "--size")
  parser.add_argument("--images", help="folder; generated photos if unset")
  parser.add_argument("--batches", type=int, default=50, help="to measure")
  parser.add_argument("--step-s", type=float, help="seconds of a training step")
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    work = pathlib.Path(name)
    photos = pathlib.Path(args.images or example_folder(work))
    coded = (path.read_bytes() for path in find_images(photos))
    write_tfds(coded, work / "set")
    folder = open_folder(photos, args.size)
    tfds = open_tfds(str(work / "set"))
    kw = dict(crop_size=args.size, batch_size=args.batch, seed=0)
    rates = {}
    for name, images in (("folder", folder), ("tfds", tfds)):
      rates[f"{name}, decoded at each use"] = rate(
        make_batches(images, **kw), args.batch, args.batches
      )
    decoded = decode_all(folder)
    held = Cache(decoded, 2**20)
    rates["held in memory"] = rate(
      make_batches(held, **kw), args.batch, args.batches
    )
    window = device_data.largest_square(decoded, args.size, 2.0)
    packed = jax.device_put(device_data.pack(decoded))
    cut = jax.jit(
      lambda data, rows: device_data.cut_examples(data, rows, args.size, window)
    )
    rows = make_batches(
      device_data.shapes_of(decoded), finish=device_data.to_row, **kw
    )
    device = jax.devices()[0].platform
    rates[f"device-resident ({device})"] = rate(
      rows,
      args.batch,
      args.batches,
      lambda batch: cut(packed, batch).block_until_ready(),
    )
  pixels = np.mean([image.shape[0] * image.shape[1] for image in decoded])
  print(
    f"{len(decoded)} images of {pixels / 1e6:.2f} megapixels, crops of "
    f"{args.size}, {threads()} threads"
  )
  for name, value in rates.items():
    share = ""
    if args.step_s:
      times = value * args.step_s / args.batch
      share = f", {times:.1f} times what a step needs"
    print(f"{name}: {value:.0f} images/s{share}")


if __name__ == "__main__":
  main()
