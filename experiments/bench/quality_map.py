"""PSNR inside and outside a region, and bytes, against uniform quality.

    python experiments/bench/quality_map.py --images KODAK [--limit 4]

The region is the middle third of each side (a ninth of the picture). Rows: the
map (inside at the high quality, outside at the low one), uniform at either, and
uniform at the size of the map's file.
"""

from __future__ import annotations

import numpy as np
import tqdm
from common import argument_parser

from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.rate_control import compress_to
from sclc_jax.images import find_images, load_image
from sclc_jax.metrics import psnr_db


def main() -> None:
  parser = argument_parser(__doc__, "--images", "--model", "--limit")
  parser.add_argument("--low", type=float, default=2, help="quality outside")
  parser.add_argument("--high", type=float, default=6, help="quality inside")
  args = parser.parse_args()
  codec = load_codec(args.model)
  paths = find_images(args.images)
  rows: dict[str, list] = {}
  for path in tqdm.tqdm(paths[: args.limit]):
    image = load_image(path)
    analysis = codec.analyse(image)
    height, width = image.shape[:2]
    inside = np.zeros((height, width), bool)
    inside[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = True
    quality = np.where(inside, args.high, args.low)
    mapped = codec.encode(analysis, quality)
    files = {
      "map": mapped,
      f"uniform {args.low:g}": codec.encode(analysis, args.low),
      f"uniform {args.high:g}": codec.encode(analysis, args.high),
      "uniform, same size": compress_to(
        codec, image, "bytes", len(mapped)
      ).data,
    }
    for name, data in files.items():
      x_hat = codec.decompress(data)
      rows.setdefault(name, []).append(
        (
          len(data),
          codec.info(data).get("quality_map_bytes", 0),
          psnr_db(image[inside], x_hat[inside]),
          psnr_db(image[~inside], x_hat[~inside]),
          psnr_db(image, x_hat),
        )
      )
  print(
    "file                   bytes  map_bytes  inside_db  outside_db  psnr_db"
  )
  for name, results in rows.items():
    size, map_size, in_db, out_db, db = np.mean(results, 0)
    print(
      f"{name:<20}  {size:6.0f}  {map_size:9.1f}  {in_db:9.2f}  "
      f"{out_db:10.2f}  {db:7.2f}"
    )


if __name__ == "__main__":
  main()
