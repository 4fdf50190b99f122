"""Decoding time of both our decoders and of peers, over the rates, in one run.

    python experiments/bench/decoding.py --images KODAK --limit 4 \
      --peer-python PEER/bin/python

A row is a quality: means over the images of bits, PSNR and the median time from
bytes to pixels. Pillow decodes AVIF and JPEG XL. CompressAI's
bmshj2018-hyperprior has the widths of its published models (N=128, M=192 for
the lower five rates, 192 and 320 for the upper three) and random weights: its
times are measured, its PSNR is not. It has as many threads as there are CPUs,
like ours; AVIF and JPEG XL have as many as Pillow gives them.
"""

from __future__ import annotations

import common  # isort: skip (it sets up BLAS, before NumPy)
import os
import tempfile
from collections.abc import Callable

import numpy as np
import tqdm

from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.cpus import cpu_count
from sclc_jax.evaluation.peers import AVIF, JPEG_XL
from sclc_jax.images import find_images, load_image
from sclc_jax.metrics import psnr_db

_WIDTHS = {"bmshj2018, low rates": (128, 192), "high rates": (192, 320)}
Row = tuple[str, str, float, float, float]  # codec, quality, bpp, dB, ms


def main() -> None:
  parser = common.argument_parser(__doc__, "--images", "--model", "--limit")
  common.add_peer(parser)
  parser.add_argument("--repeats", type=int, default=3, help="of each timing")
  args = parser.parse_args()
  codecs = {
    name: load_codec(args.model, fast=name == "fast")
    for name in ("full", "fast")
  }
  for peer in (AVIF, JPEG_XL):
    if not peer.installed():
      print(f"{peer.name} is left out: {peer.remedy}")
  rows: dict[tuple[str, str], list] = {}
  for path in tqdm.tqdm(find_images(args.images)[: args.limit]):
    image = load_image(path)
    measured = [
      *_ours(codecs, image, args.repeats),
      *_pillow(image, args.repeats),
      *(_compressai(args, image) if args.peer_python else ()),
    ]
    for codec, quality, *values in measured:
      rows.setdefault((codec, quality), []).append(values)
  print(f"{'codec':<22}  quality    bpp     dB  decode_ms")
  for (codec, quality), values in rows.items():
    bpp, psnr, ms = np.mean(values, 0)
    print(f"{codec:<22}  {quality:>7}  {bpp:5.3f}  {psnr:5.2f}  {ms:9.1f}")


def _ours(codecs: dict[str, Codec], image: np.ndarray, repeats: int):
  first = codecs["full"]
  analysis = first.analyse(image)
  for level in range(1, first.model.top_quality + 1):
    data = first.encode(analysis, level)
    for name, codec in codecs.items():
      yield _row(name, level, image, data, codec.decompress, repeats)


def _pillow(image: np.ndarray, repeats: int):
  for peer in (AVIF, JPEG_XL):
    for setting in peer.settings if peer.installed() else ():
      data = peer.encode(image, setting)

      def decode(data: bytes, peer=peer) -> np.ndarray:
        return peer.decode(data, image.ndim == 2)

      yield _row(peer.name.split()[0], setting, image, data, decode, repeats)


def _compressai(args, image: np.ndarray):
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "image.npy")
    np.save(path, image)
    for name, (N, M) in _WIDTHS.items():
      result = common.run_json(
        args.peer_python, "peer_compressai.py", "code", "--image", path,
        "--N", N, "--M", M, "--repeats", args.repeats,
        "--threads", cpu_count(),
        tunables=args.peer_tunables,
      )  # fmt: skip
      yield name, "", np.nan, np.nan, 1000 * result["decode_s"]


def _row(
  codec: str,
  quality: int,
  image: np.ndarray,
  data: bytes,
  decode: Callable[[bytes], np.ndarray],
  repeats: int,
) -> Row:
  bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
  taken = common.seconds(lambda: decode(data), repeats)
  return (
    codec, str(quality), bpp, psnr_db(image, decode(data)), 1000 * taken
  )  # fmt: skip


if __name__ == "__main__":
  main()
