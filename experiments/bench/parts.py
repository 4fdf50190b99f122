"""Time of a region and of previews, beside that of the whole picture.

    python experiments/bench/parts.py [--megapixels 12] [--model M]

Medians of calls in one process, compiled before. `symbols` is what all of them
share: everything before the synthesis, from bytes to y_hat. PSNR is against
the averages of squares of the whole picture.
"""

from __future__ import annotations

import functools

import numpy as np
from big_photo import large_photo
from common import argument_parser, seconds


def averages(image: np.ndarray, scale: int) -> np.ndarray:
  """uint8 averages of squares of [H, W, 3]; edges are repeated."""
  pad = [(0, -side % scale) for side in image.shape[:2]]
  image = np.pad(image, [*pad, (0, 0)], "edge")
  rows, columns = (side // scale for side in image.shape[:2])
  squares = image.reshape(rows, scale, columns, scale, 3)
  return np.round(squares.mean((1, 3), np.float32)).astype(np.uint8)


def main() -> None:
  from sclc_jax import load_codec
  from sclc_jax.metrics import psnr_db

  parser = argument_parser(__doc__, "--model")
  parser.add_argument("--megapixels", type=float, default=12, help="of a photo")
  parser.add_argument("--quality", type=float, default=4, help="in [1, 8]")
  parser.add_argument("--repeats", type=int, default=3, help="of each call")
  args = parser.parse_args()
  codec = load_codec(args.model)
  image = large_photo(args.megapixels)
  height, width = image.shape[:2]
  data = codec.compress(image, args.quality)
  whole = codec.decompress(data)
  region = width // 2, height // 2, 512, 512
  print(f"{width}x{height} pixels, {len(data)} bytes")
  calls = {
    "whole": functools.partial(codec.decompress, data),
    "symbols": functools.partial(codec.symbols, data),
    "region 512x512": functools.partial(codec.decompress, data, region),
    **{
      f"preview {scale}": functools.partial(codec.preview, data, scale)
      for scale in (8, 4, 2)
    },
  }
  print("call            seconds  of whole  psnr_db")
  first = None
  for name, call in calls.items():
    taken = seconds(call, args.repeats)
    first = first or taken
    psnr = ""
    if name.startswith("preview"):
      scale = int(name.split()[1])
      psnr = f"{psnr_db(averages(whole, scale), call()):.2f}"
    print(f"{name:<14}  {taken:7.2f}  {taken / first:8.3f}  {psnr:>7}")


if __name__ == "__main__":
  main()
