"""A folder of photos by one process, against one process an image.

    python experiments/bench/folder.py [--count 100] [--single 5]

Photos of several sizes, cut from those that scikit-image ships. One `sclc
compress FOLDER` and one `sclc decompress FOLDER`, with an empty compilation
cache and with a full one, against the mean of `--single` processes of one image
each (full cache), times the count.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

import numpy as np
from common import argument_parser, photo
from first_image import run

SIZES = ((768, 512), (512, 768), (1024, 683), (640, 480), (800, 533))


def write_photos(folder: pathlib.Path, count: int) -> float:
  """Writes JPEG files; returns megapixels."""
  from PIL import Image

  rng = np.random.default_rng(0)
  image = photo(1600, 1200)
  pixels = 0
  for index in range(count):
    width, height = SIZES[index % len(SIZES)]
    top = rng.integers(image.shape[0] - height + 1)
    left = rng.integers(image.shape[1] - width + 1)
    part = image[top : top + height, left : left + width]
    Image.fromarray(part).save(folder / f"{index:03}.jpg", quality=92)
    pixels += width * height
  return pixels / 1e6


def main() -> None:
  parser = argument_parser(__doc__, "--model")
  parser.add_argument("--count", type=int, default=100, help="photographs")
  parser.add_argument(
    "--single", type=int, default=5, help="of them by a process each"
  )
  args = parser.parse_args()
  model = ["--model", args.model] if args.model else []
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    photos, coded, back = (folder / n for n in ("photos", "coded", "back"))
    photos.mkdir()
    megapixels = write_photos(photos, args.count)
    print(f"{args.count} photos, {megapixels:.1f} MP")
    print("command     how                        seconds    MP/s  peak_mib")
    for command, source, target in (
      ("compress", photos, coded),
      ("decompress", coded, back),
    ):
      options = ("--quiet", "--force", *model)
      for label in ("one process, empty cache", "one process"):
        result = run(command, source, "-o", target, *options)
        _print(command, label, result["s"], megapixels, result["peak_mib"])
      files = sorted(source.iterdir())[: args.single]
      one = folder / "one"
      one.mkdir(exist_ok=True)
      each = [run(command, file, "-o", one, *options) for file in files]
      seconds = float(np.mean([e["s"] for e in each])) * args.count
      peak = max(e["peak_mib"] for e in each)
      _print(command, "a process an image", seconds, megapixels, peak)


def _print(command, label, seconds, megapixels, peak) -> None:
  print(
    f"{command:<10}  {label:<24}  {seconds:8.1f}  {megapixels / seconds:6.2f}  "
    f"{peak:8.0f}"
  )


if __name__ == "__main__":
  main()
