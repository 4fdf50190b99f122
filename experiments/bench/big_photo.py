"""Time and peak memory of a 100-megapixel photo, and that no seam is seen.

    python experiments/bench/big_photo.py [--megapixels 100] [--model M]

Compression and decompression are a fresh process each, as at the command line.
The photo is one that scikit-image ships, enlarged and mirrored side by side,
with noise, as JPEG. `--random N M` takes untrained weights of these widths. A
part of 4 megapixels is also coded whole and in tiles, in this process.
"""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
from common import argument_parser, photo, random_model
from first_image import run


def large_photo(megapixels: float) -> np.ndarray:
  """uint8 [H, W, 3] of 4:3."""
  height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
  width = round(height * 4 / 3)
  part = photo(2400, 1800)
  part = np.concatenate([part, part[:, ::-1]], 1)
  part = np.concatenate([part, part[::-1]], 0)
  rows = -(-height // part.shape[0])
  columns = -(-width // part.shape[1])
  image = np.tile(part, (rows, columns, 1))[:height, :width]
  rng = np.random.default_rng(0)
  for start in range(0, height, 256):
    rows = image[start : start + 256]
    noise = rng.integers(-4, 5, rows.shape, np.int16)
    rows[:] = np.clip(rows + noise, 0, 255)
  return image


def seam(model) -> tuple[int, float]:
  """Largest difference between whole and tiled, of 255, and of bytes in %."""
  from sclc_jax.codec.codec import Codec
  from sclc_jax.codec.pixels.transforms import Transforms

  image = large_photo(4)
  codec, untiled = Codec(model), Codec(model)
  untiled.transforms = Transforms(model.config, model.params, tile=4096)
  whole = untiled.compress(image, 4)
  picture = untiled.decompress(whole)
  tiled = codec.compress(image, 4)
  difference = codec.decompress(whole).astype(int) - picture
  return int(np.abs(difference).max()), 100 * (len(tiled) / len(whole) - 1)


def main() -> None:
  from PIL import Image

  from sclc_jax.codec.model.model_file import find_model, save_model

  parser = argument_parser(__doc__, "--model")
  parser.add_argument(
    "--megapixels", type=float, default=100, help="size of the photo"
  )
  parser.add_argument(
    "--random",
    type=int,
    nargs=2,
    metavar=("N", "M"),
    help="untrained weights of these widths",
  )
  parser.add_argument("--quality", type=float, default=4, help="in [1, 8]")
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    if args.random:
      args.model = str(folder / "random.sclcm")
      save_model(random_model(*args.random), args.model)
    model = ["--model", args.model] if args.model else []
    image = large_photo(args.megapixels)
    pixels = image.shape[0] * image.shape[1]
    source, coded = folder / "photo.jpg", folder / "photo.sclc"
    Image.fromarray(image).save(source, quality=92)
    del image
    print(f"{pixels / 1e6:.1f} MP, JPEG of {source.stat().st_size} bytes")
    print("command     seconds    MP/s  peak_mib")
    for command, words in {
      "compress": (source, "-o", coded, "--quality", args.quality),
      "decompress": (coded, "-o", folder / "back.png"),
    }.items():
      took = run(command, *words, *model)
      print(
        f"{command:<10}  {took['s']:7.1f}  {pixels / 1e6 / took['s']:6.2f}  "
        f"{took['peak_mib']:8.0f}"
      )
    print(f"{coded.stat().st_size} bytes")
    difference, percent = seam(find_model(args.model))
    print(f"4 MP whole against tiled: within {difference} of 255, "
          f"{percent:+.4f} % bytes")  # fmt: skip


if __name__ == "__main__":
  main()
