"""Images a second that a core makes, and the cores that a host needs.

    python experiments/bench/input_cores.py [--images PHOTOS] [--workers 2]

Crops of 256 from photographs of 12 megapixels as cameras store them, and from
the same scaled down as `sclc data --shorter-side` does, each decoded at every
use. With `--images` a folder of yours is measured as well. The rate of a core
counts processor time, so that other work on the machine matters little. The
last table has the cores for a TPU v5e-8 host whose chips each take 8 crops in
`--step-ms`. `--worker` measures a process of `data.workers` on the last set,
for which that should have hundreds of photographs: grain's shuffling takes 4 ms
an example of a set of 6, and 0.05 ms of 688.
"""

import io
import pathlib
import resource
import tempfile
import time

import common  # isort: skip (it sets up BLAS, before NumPy)
import numpy as np
from PIL import Image

from sclc_jax.images import find_images, load_rgb
from sclc_jax.images.writer import encode_image
from sclc_jax.train.data import (
  cut,
  draw_square,
  make_batches,
  open_images,
)
from sclc_jax.train.tfds_images import write_tfds

_LARGE = 4000, 3000
_SIDES = 1024, 512  # --shorter-side
_COUNT = 8  # photographs
_CHIPS, _CROPS = 8, 8


def rate_of_a_core(images, args) -> float:
  """Examples a second of processor time: decoded, drawn and cut."""
  count = max(len(images), args.examples)
  start = time.process_time()
  for number in range(count):
    image = images[number % len(images)]
    square = draw_square(
      image.shape, number, crop_size=args.size, seed=0, max_downscale=2.0
    )
    cut(image, square, args.size)
  return count / (time.process_time() - start)


def rate_of_a_worker(folder: str, args) -> float:
  """Examples a second of processor time of one worker process."""

  def seconds(batches: int) -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = make_batches(
      open_images(folder, args.size, 0),
      crop_size=args.size, batch_size=args.batch, seed=0, workers=1,
    )  # fmt: skip
    for _ in range(batches):
      next(made)
    made.close()  # waits for the process
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - usage.ru_utime - usage.ru_stime

  # Its start and what it makes in vain cancel out.
  few, many = 20, 140
  return args.batch * (many - few) / (seconds(many) - seconds(few))


def large_photos() -> list[bytes]:
  """JPEG files of 12 megapixels and quality 92, all different."""
  files = []
  for i in range(_COUNT):
    photo = common.photo(600, 400)[10 * i : 300 + 10 * i, 20 * i : 400 + 20 * i]
    image = Image.fromarray(photo).resize(_LARGE, Image.Resampling.LANCZOS)
    noise = np.random.default_rng(i).integers(-4, 5, (_LARGE[1], _LARGE[0], 3))
    pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    files.append(file.getvalue())
  return files


def scaled(data: bytes, side: int) -> bytes:
  """As `sclc data --shorter-side` stores it."""
  image = Image.fromarray(load_rgb(data, shorter_side=side))
  size = tuple(round(n * side / min(image.size)) for n in image.size)
  small = image.resize(size, Image.Resampling.LANCZOS)
  return encode_image(np.asarray(small), ".jpg")


def main() -> None:
  parser = common.argument_parser(__doc__, "--batch", "--size")
  parser.add_argument("--images", help="folder of photographs")
  parser.add_argument("--examples", type=int, default=80, help="to measure")
  parser.add_argument("--worker", action="store_true", help="of the last set")
  parser.add_argument(
    "--step-ms", type=float, nargs="+", default=[5.0, 20.0],
    help="of steps of 8 crops a chip",
  )  # fmt: skip
  args = parser.parse_args()
  files = large_photos()
  sets = {"12 megapixels": files}
  for side in _SIDES:
    sets[f"--shorter-side {side}"] = [scaled(data, side) for data in files]
  if args.images:
    sets[args.images] = [p.read_bytes() for p in find_images(args.images)]
  with tempfile.TemporaryDirectory() as name:
    rates = {}
    for title, coded in sets.items():
      folder = pathlib.Path(name, str(len(rates)))
      write_tfds(coded, folder)
      images = open_images(str(folder), args.size, 0)
      rates[title] = rate_of_a_core(images, args)
      print(f"{title}: {rates[title]:.0f} images/s a core")
    if args.worker:
      value = rate_of_a_worker(str(folder), args)
      print(f"{title}: {value:.0f} images/s a core, in a worker process")
  for step_ms in args.step_ms:
    needed = 1000 * _CHIPS * _CROPS / step_ms
    for title, rate in rates.items():
      print(
        f"steps of {step_ms:g} ms: {needed:.0f} images/s a host, "
        f"{needed / rate:.0f} cores for {title}"
      )


if __name__ == "__main__":
  main()
