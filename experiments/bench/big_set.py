"""How soon a run on a set of a million pictures starts, and reads on.

    python experiments/bench/big_set.py [--pictures 1000000]

Tiny records, in shards as `sclc data` writes them and, for comparison, all in
one file. Each is read in a process of its own: seconds from its start to the
first batch of 8 crops from the middle of the second epoch, milliseconds to read
one record at random, and the process's memory. `--files` of a folder (its
headers are read at each start) come last, and `--train` adds the seconds of a
whole `sclc train` of one step, on a million and on a hundred records.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import common  # isort: skip (it sets up BLAS, before NumPy)
import numpy as np

from sclc_jax.images import png_bytes
from sclc_jax.train.tfds_images import (
  shard_name,
  write_description,
  write_shard,
)

_READ = """
import json, resource, sys, time
import numpy as np
from sclc_jax.train.data import make_batches, open_images
images = open_images(sys.argv[1], 64, 0)
step = len(images) * 3 // 16
batch = next(make_batches(
  images, crop_size=64, batch_size=8, seed=0, start_step=step))
started = time.time() - float(sys.argv[2])
indices = np.random.default_rng(0).integers(len(images), size=500)
before = time.process_time()
for index in indices:
  images[int(index)]
record_ms = (time.process_time() - before) * 2
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([started, record_ms, peak]))
"""


def write_set(folder: pathlib.Path, pictures: int, shards: int) -> None:
  """A set of equal pictures of 64x64."""
  folder.mkdir(parents=True)
  image = png_bytes(np.full((64, 64, 3), 128, np.uint8))
  record = {"image": image, "width": 64, "height": 64, "name": b"photo.png"}
  numbers = np.linspace(0, pictures, shards + 1).astype(int)
  written = [
    write_shard(folder / shard_name(i, shards), [record] * int(count))
    for i, count in enumerate(np.diff(numbers))
  ]
  write_description(folder, written, about=True)


def write_folder(folder: pathlib.Path, pictures: int) -> None:
  """As many files."""
  folder.mkdir()
  image = png_bytes(np.full((64, 64, 3), 128, np.uint8))
  for i in range(pictures):
    (folder / f"{i:07}.png").write_bytes(image)


def read(source: str) -> str:
  """Reads a source in a process of its own."""
  start = str(time.time())
  out = subprocess.check_output([sys.executable, "-c", _READ, source, start])
  return "{:.1f} s to the first batch, {:.2f} ms a record, {:.0f} MiB".format(
    *json.loads(out.splitlines()[-1])
  )


def train(source: str, workdir: pathlib.Path) -> float:
  """Seconds of `sclc train` up to its first checkpoint."""
  start = time.perf_counter()
  subprocess.run(
    [sys.executable, "-m", "sclc_jax", "train", "--config", "smoke",
     "--workdir", str(workdir), f"--config.data.source={source}",
     "--stop-at", "1", "--quiet"],
    check=True, stdout=subprocess.DEVNULL,
  )  # fmt: skip
  return time.perf_counter() - start


def main() -> None:
  parser = common.argument_parser(__doc__)
  parser.add_argument(
    "--pictures", type=int, default=1_000_000, help="of the set"
  )
  parser.add_argument(
    "--in-shard", type=int, default=10_000, metavar="N", help="its pictures"
  )
  parser.add_argument("--files", type=int, default=10_000, help="of a folder")
  parser.add_argument("--train", action="store_true", help="time runs as well")
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    work = pathlib.Path(name)
    shards = -(-args.pictures // args.in_shard)
    for title, count in ((f"{shards} shards", shards), ("one file", 1)):
      write_set(work / title, args.pictures, count)
      print(f"{args.pictures} pictures in {title}: {read(f'{work / title}')}")
    write_folder(work / "folder", args.files)
    print(f"folder of {args.files} files: {read(f'folder:{work}/folder')}")
    if args.train:
      write_set(work / "hundred", 100, 1)
      train(str(work / "hundred"), work / "warm")  # fills the compilation cache
      for title in ("hundred", f"{shards} shards"):
        seconds = train(str(work / title), work / f"run of {title}")
        print(f"sclc train of one step on {title}: {seconds:.1f} s")


if __name__ == "__main__":
  main()
