"""What the fast decoder loses and saves, level by level.

    python experiments/bench/fast_decoder.py --images KODAK

PSNR of both decoders from the same files, and of the first photo the times of
both: the synthesis, all of the decoding, and of what precedes the synthesis the
hyper-synthesis and the rest (range decoding and y_hat).
"""

from __future__ import annotations

import common  # isort: skip (it sets up BLAS, before NumPy)
import numpy as np
import tqdm

from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.codec.stream import bitstream
from sclc_jax.images import find_images, load_image
from sclc_jax.metrics import psnr_db


def main() -> None:
  parser = common.argument_parser(__doc__, "--images", "--model", "--limit")
  parser.add_argument("--repeats", type=int, default=7, help="of each timing")
  args = parser.parse_args()
  codecs = [load_codec(args.model, fast=fast) for fast in (False, True)]
  paths = find_images(args.images)[: args.limit]
  levels = range(1, codecs[0].model.top_quality + 1)
  points = [_points(codecs, path, levels) for path in tqdm.tqdm(paths)]
  print(f"{len(paths)} images\nlevel    bpp  full_db  fast_db  lost_db")
  for level, (bpp, full, fast) in zip(levels, np.mean(points, 0)):
    print(f"{level:5}  {bpp:.3f}  {full:7.2f}  {fast:7.2f}  {full - fast:7.2f}")
  print("level  synthesis_ms  fast_ms  ratio  decode_ms  fast_ms  ratio  "
        "hyper_ms   y_ms")  # fmt: skip
  for level in sorted({levels[0], levels[len(levels) // 2 - 1], levels[-1]}):
    print(f"{level:5}  " + _times(codecs, paths[0], level, args.repeats))


def _points(codecs: list[Codec], path, levels) -> list[tuple[float, ...]]:
  """(bpp, dB of the full decoder, dB of the fast one) of each level."""
  image = load_image(path)
  analysis = codecs[0].analyse(image)
  points = []
  for level in levels:
    data = codecs[0].encode(analysis, level)
    bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
    psnr = [psnr_db(image, codec.decompress(data)) for codec in codecs]
    points.append((bpp, *psnr))
  return points


def _times(codecs: list[Codec], path, level: int, repeats: int) -> str:
  image = load_image(path)
  data = codecs[0].compress(image, level)
  file = bitstream.unpack(data)
  symbols = codecs[0].symbols(data)

  def ms(call) -> float:
    return 1000 * common.seconds(call, repeats)

  known = symbols.y_hat, symbols.q
  size = file.height, file.width, file.colour
  parts = [
    ms(lambda codec=codec: codec.transforms.synthesis(*known, *size))
    for codec in codecs
  ]
  whole = [ms(lambda codec=codec: codec.decompress(data)) for codec in codecs]
  hyper = ms(lambda: codecs[0].model.control.prior(symbols.z))
  before = ms(lambda: codecs[0].symbols(data))
  return (
    f"{parts[0]:12.1f}  {parts[1]:7.1f}  {parts[0] / parts[1]:5.1f}  "
    f"{whole[0]:9.1f}  {whole[1]:7.1f}  {whole[0] / whole[1]:5.1f}  "
    f"{hyper:8.1f}  {max(0.0, before - hyper):5.1f}"
  )


if __name__ == "__main__":
  main()
