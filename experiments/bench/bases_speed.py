"""Encode and decode time of every base model, and against the selected part.

    python experiments/bench/bases_speed.py --peer-python PEER/bin/python

One photo, warm, untrained weights of the same widths. Each base, and
CompressAI's mbt2018 (a context model, position by position) and mbt2018-mean,
takes its turn in a process of its own. Masks are drawn at random, so that the
given fractions of y are selected; `entropy_s` is the time inside the range
decoder. PEER is an environment with torch and compressai.
"""

import dataclasses
import functools
import json
import statistics
import sys
import tempfile
import time

import numpy as np
from common import (
  add_peer,
  argument_parser,
  photo,
  random_model,
  run_json,
  seconds,
)

from sclc_jax.codec.exact.control import ControlPath
from sclc_jax.config import BASES

FRACTIONS = (0.05, 0.2, 0.6, 1.0)
PEERS = ("mbt2018", "mbt2018-mean")


@functools.cache
def random_mask(fraction: float, shape: tuple[int, ...]) -> np.ndarray:
  """The same mask whenever it is asked for."""
  return np.random.default_rng(0).random(shape) < fraction


@dataclasses.dataclass(frozen=True)
class RandomMask(ControlPath):
  """A control path that still computes the importance, but ignores it."""

  fraction: float = 1.0

  def mask(self, importance, step, shape):
    return random_mask(self.fraction, tuple(shape))


class TimedEngine:
  """A range coder that adds up the time it takes to decode y."""

  def __init__(self, engine):
    self.encode, self.decode = engine.encode, engine.decode
    self._engine = engine
    self.total = 0.0

  def decoder(self, tables, data):
    """As `range_coder._Engine.decoder`."""
    read = self._engine.decoder(tables, data)

    def timed(indexes):
      start = time.perf_counter()
      symbols = read(indexes)
      self.total += time.perf_counter() - start
      return symbols

    return timed


def ours(args) -> dict:
  """Seconds of one base: encode, and decode at each fraction."""
  from sclc_jax.codec.codec import Codec
  from sclc_jax.codec.entropy.range_coder import get_engine

  model = random_model(args.N, args.M, args.base, "wavelet")
  image = photo(args.width, args.height)
  results = {}
  for fraction in FRACTIONS:
    fields = dataclasses.fields(ControlPath)
    parts = {field.name: getattr(model.control, field.name) for field in fields}
    control = RandomMask(**parts, fraction=fraction)
    changed = dataclasses.replace(model, control=control)
    codec, engine = Codec(changed), TimedEngine(get_engine())
    codec._encoder._latents._engine = engine
    data = codec.compress(image, args.quality)
    codec.decompress(data)
    engine.total = 0.0
    decode = seconds(functools.partial(codec.decompress, data), args.repeats, 0)
    entropy = engine.total / args.repeats
    encode = functools.partial(codec.compress, image, args.quality)
    results[fraction] = {
      "selected": codec.info(data)["selected_fraction"],
      "bytes": len(data),
      "encode_s": seconds(encode, args.repeats, 0),
      "decode_s": decode,
      "entropy_s": entropy,
    }
  return results


def main() -> None:
  parser = argument_parser(__doc__, "--N", "--M", "--width", "--height")
  add_peer(parser)
  parser.add_argument("--base", choices=BASES, help="measure this one, as JSON")
  parser.add_argument("--quality", type=float, default=6.0, help="in [1, 8]")
  parser.add_argument(
    "--repeats",
    type=int,
    default=5,
    help="measurements, of which the median counts",
  )
  parser.add_argument(
    "--rounds", type=int, default=3, help="turns, each in processes of its own"
  )
  args = parser.parse_args()
  if args.base:
    print(json.dumps(ours(args)))
    return
  sizes = ("--N", args.N, "--M", args.M)
  shape = ("--width", args.width, "--height", args.height)
  mine = (*sizes, *shape, "--quality", args.quality, "--repeats", args.repeats)
  peers = {name: [] for name in PEERS} if args.peer_python else {}
  runs = {base: [] for base in BASES}
  with tempfile.NamedTemporaryFile(suffix=".npy") as file:
    np.save(file.name, photo(args.width, args.height))
    for _ in range(args.rounds):
      for arch, results in peers.items():
        command = ("code", "--image", file.name, "--arch", arch, *sizes)
        command += ("--repeats", 1 if arch == "mbt2018" else args.repeats)
        script = "peer_compressai.py"
        tuned = {"tunables": args.peer_tunables}
        results.append(run_json(args.peer_python, script, *command, **tuned))
      for base, results in runs.items():
        command = __file__, *mine, "--base", base
        results.append(run_json(sys.executable, *command))
  print("codec          selected     bytes  encode_s  decode_s  entropy_s")
  for arch, results in peers.items():
    encode, decode = (
      statistics.median(run[part] for run in results)
      for part in ("encode_s", "decode_s")
    )
    print(f"{arch:<13}  {'':8}  {'':8}  {encode:8.3f}  {decode:8.3f}")
  for base, results in runs.items():
    for fraction in results[0]:
      row = {
        part: statistics.median(run[fraction][part] for run in results)
        for part in results[0][fraction]
      }
      print(
        f"{base:<13}  {row['selected']:8.3f}  {row['bytes']:8.0f}  "
        f"{row['encode_s']:8.3f}  {row['decode_s']:8.3f}  "
        f"{row['entropy_s']:9.4f}"
      )


if __name__ == "__main__":
  main()
