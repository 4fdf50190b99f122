"""How near rate control lands, in how many codings, and how long it takes.

    python experiments/bench/rate_control.py --images KODAK [--limit 4]

Each image gets five targets of each kind: what qualities 1.5, 3, 4.5, 6 and
7.5 give, times 1.003. Deviations are of the real file and picture: in percent,
for PSNR also in dB; `max_bytes` deviates only downwards. Times are against one
plain compression of the same image at quality 4, both warm.
"""

from __future__ import annotations

import time

import numpy as np
import tqdm
from common import argument_parser, seconds

from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.rate_control import KINDS, compress_to
from sclc_jax.images import find_images, load_image
from sclc_jax.metrics import psnr_db

QUALITIES = (1.5, 3, 4.5, 6, 7.5)


def _value(kind: str, image: np.ndarray, data: bytes, codec) -> float:
  if kind == "psnr":
    return psnr_db(image, codec.decompress(data))
  pixels = image.shape[0] * image.shape[1]
  return 8 * len(data) / pixels if kind == "bpp" else len(data)


def measure(codec, image: np.ndarray, kinds, rows: dict[str, list]) -> None:
  """Adds (deviation in %, and in the unit, codings, time ratio) to rows."""
  codec.decompress(codec.compress(image))  # compiles
  plain_s = seconds(lambda: codec.compress(image, 4), 5)
  analysis = codec.analyse(image)
  for quality in QUALITIES:
    data = codec.encode(analysis, quality)
    for kind in kinds:
      target = 1.003 * _value(kind, image, data, codec)
      start = time.perf_counter()
      hit = compress_to(codec, image, kind, target)
      spent_s = time.perf_counter() - start
      results = _value(kind, image, hit.data, codec)
      percent = 100 * (results / target - 1)
      row = (percent, results - target, hit.trials, spent_s / plain_s)
      rows[kind].append(row)


def main() -> None:
  parser = argument_parser(__doc__, "--images", "--model", "--limit")
  parser.add_argument(
    "--kinds", nargs="+", default=KINDS, choices=KINDS, help="of targets"
  )
  args = parser.parse_args()
  codec = load_codec(args.model)
  paths = find_images(args.images)
  rows: dict[str, list] = {kind: [] for kind in args.kinds}
  for path in tqdm.tqdm(paths[: args.limit]):
    measure(codec, load_image(path), args.kinds, rows)
  print("kind       mean_%  worst_%  mean_dB  worst_dB  trials  most_trials  "
        "time_ratio  worst_ratio")  # fmt: skip
  for kind, results in rows.items():
    percent, unit, trials, ratio = np.abs(results).T
    db = unit if kind == "psnr" else np.full(1, np.nan)
    print(
      f"{kind:<9}  {percent.mean():6.3f}  {percent.max():7.3f}  "
      f"{db.mean():7.3f}  {db.max():8.3f}  {trials.mean():6.2f}  "
      f"{trials.max():11.0f}  {ratio.mean():10.2f}  {ratio.max():11.2f}"
    )


if __name__ == "__main__":
  main()
