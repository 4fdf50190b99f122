"""Processor time that models take to encode and decode a photo, in turns.

    python experiments/bench/models_speed.py --image kodim05.png \
      --models hyperprior-mse hyperprior-mse-conditional

Warm. Each round codes the photo once with every model; medians over rounds, and
of the ratios to the first model in the same round.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from common import argument_parser

from sclc_jax.codec.codec import load_codec
from sclc_jax.images import load_image


def _processor_s(call: Callable[[], object]) -> float:
  start = time.process_time()
  call()
  return time.process_time() - start


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument("--image", required=True, help="a photo")
  parser.add_argument("--models", nargs="+", required=True, help="to compare")
  parser.add_argument("--quality", type=float, default=4.0, help="in [1, 8]")
  parser.add_argument("--rounds", type=int, default=15, help="of all models")
  args = parser.parse_args()
  image = load_image(args.image)
  codecs = [load_codec(name) for name in args.models]
  files = [codec.compress(image, args.quality) for codec in codecs]
  for codec, data in zip(codecs, files):
    codec.decompress(data)
  times = np.array([
    [
      (
        _processor_s(lambda codec=codec: codec.compress(image, args.quality)),
        _processor_s(lambda codec=codec, data=data: codec.decompress(data)),
      )
      for codec, data in zip(codecs, files)
    ]
    for _ in range(args.rounds)
  ])  # fmt: skip
  ratios = np.median(times / times[:, :1], 0)
  for name, (encode, decode), ratio in zip(
    args.models, np.median(times, 0), ratios
  ):
    print(
      f"{name:28s} encode {encode:.3f} s ({ratio[0]:.3f})  "
      f"decode {decode:.3f} s ({ratio[1]:.3f})"
    )


if __name__ == "__main__":
  main()
