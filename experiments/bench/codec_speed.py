"""Encode and decode time of one photo against CompressAI, in the same run.

    python experiments/bench/codec_speed.py --peer-python PEER/bin/python

Warm, the same widths, random weights, the same threads; ours and the peer take
turns. PEER is an environment with torch and compressai.
"""

import json
import statistics
import sys
import tempfile

import numpy as np
from common import (
  add_peer,
  argument_parser,
  peak_mib,
  photo,
  random_model,
  run_json,
  seconds,
)

PARTS = ("encode_s", "decode_s")


def ours(args) -> dict:
  """One measurement of this codec."""
  from sclc_jax.codec.codec import Codec

  codec = Codec(random_model(args.N, args.M))
  image = photo(args.width, args.height)
  data = codec.compress(image)
  return {
    "encode_s": seconds(lambda: codec.compress(image), args.repeats),
    "decode_s": seconds(lambda: codec.decompress(data), args.repeats),
    "peak_mib": peak_mib(),
  }


def main() -> None:
  parser = argument_parser(__doc__, "--N", "--M", "--width", "--height")
  add_peer(parser)
  parser.add_argument(
    "--arch", default="bmshj2018-hyperprior", help="the peer's model"
  )
  parser.add_argument(
    "--repeats",
    type=int,
    default=7,
    help="measurements, of which the median counts",
  )
  parser.add_argument(
    "--rounds", type=int, default=3, help="turns, each in processes of its own"
  )
  args = parser.parse_args()
  if not args.peer_python:  # a measurement of its own process
    print(json.dumps(ours(args)))
    return
  sizes = ("--N", args.N, "--M", args.M, "--repeats", args.repeats)
  shape = ("--width", args.width, "--height", args.height)
  runs = {"sclc_jax": [], "compressai": []}
  with tempfile.NamedTemporaryFile(suffix=".npy") as file:
    np.save(file.name, photo(args.width, args.height))
    for _ in range(args.rounds):
      runs["compressai"].append(
        run_json(
          args.peer_python,
          "peer_compressai.py",
          "code",
          "--image",
          file.name,
          "--arch",
          args.arch,
          *sizes,
          tunables=args.peer_tunables,
        )  # fmt: skip
      )
      runs["sclc_jax"].append(
        run_json(sys.executable, "codec_speed.py", *sizes, *shape)
      )
  totals = {}
  print("codec       encode_s  decode_s   total_s  peak_mib")
  for name, results in runs.items():
    values = [statistics.median(r[part] for r in results) for part in PARTS]
    totals[name] = sum(values)
    memory = max(r["peak_mib"] for r in results)
    print(
      f"{name:<10}  {values[0]:8.3f}  {values[1]:8.3f}  {sum(values):8.3f}  "
      f"{memory:8.0f}"
    )
  print(f"ratio {totals['sclc_jax'] / totals['compressai']:.3f} "
        f"({args.arch}, N={args.N}, M={args.M})")  # fmt: skip


if __name__ == "__main__":
  main()
