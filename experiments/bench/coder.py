"""The portable range coder: speed, and byte equality with TFC's.

    python experiments/bench/coder.py [--cases 1000000]

Speed on a million symbols as the codec codes them. The cases are short random
sequences over random tables of the codec, with escapes; each is coded by both
engines (where TFC is installed; else it only has to come back).
"""

from __future__ import annotations

import sys

import numpy as np
import tqdm
from common import argument_parser, seconds

from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.entropy.tables import SCALES, gaussian_tables


def speed(engine, symbols: np.ndarray, index: np.ndarray) -> str:
  """Million symbols a second, both ways."""
  tables = gaussian_tables()
  data = engine.encode(tables, symbols, index)
  encode = seconds(lambda: engine.encode(tables, symbols, index), 7)
  decode = seconds(lambda: engine.decode(tables, data, index), 7)
  rate = symbols.size / 1e6
  return (
    f"{engine.name}: encode {rate / encode:.1f}, decode {rate / decode:.1f} "
    f"M symbols/s, {8 * len(data) / symbols.size:.3f} bits a symbol"
  )


def random_case(rng) -> tuple[np.ndarray, np.ndarray]:
  """Symbols and indexes; one in eight sequences has far outliers."""
  size = int(rng.integers(0, 24))
  index = rng.integers(0, SCALES.size, size).astype(np.int32)
  if rng.integers(2):
    index = np.minimum(index, rng.integers(1, 64)).astype(np.int32)
  symbols = np.round(rng.normal(size=size) * SCALES[index] * rng.choice((1, 4)))
  if rng.integers(8) == 0:
    symbols *= 2.0 ** rng.integers(0, 16, size)
  return np.clip(symbols, -(2**29), 2**29).astype(np.int32), index


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument("--cases", type=int, default=0, help="random sequences")
  parser.add_argument(
    "--seed", type=int, default=0, help="of the random sequences"
  )
  args = parser.parse_args()
  engines = [get_engine("portable")]
  try:
    engines.append(get_engine("tfc"))
  except ValueError as error:
    print(error, file=sys.stderr)
  rng = np.random.default_rng(args.seed)
  # Scales as in a middle quality: mostly small ones.
  index = np.minimum(rng.geometric(0.08, 1_000_000) - 1, 63).astype(np.int32)
  symbols = np.round(rng.normal(size=index.size) * SCALES[index])
  for engine in engines:
    print(speed(engine, symbols.astype(np.int32), index))
  tables, differ, lost = gaussian_tables(), 0, 0
  for _ in tqdm.trange(args.cases, mininterval=5):
    symbols, index = random_case(rng)
    coded = [engine.encode(tables, symbols, index) for engine in engines]
    differ += any(data != coded[0] for data in coded)
    for engine in engines:
      back = engine.decode(tables, coded[0], index)
      lost += not np.array_equal(back, symbols)
  print(f"{args.cases} cases: {differ} with other bytes, {lost} not restored")
  if differ or lost:
    sys.exit(1)


if __name__ == "__main__":
  main()
