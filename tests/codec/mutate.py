"""Seeded damage of .sclc files: cuts, flips, splices, extreme headers.

    python tests/codec/mutate.py --count 10000 [--model X.sclcm]

Half of the mutants get a valid check value, so that they reach what lies
behind it. Each must end in a ValueError or a picture of the declared size, in
less than 2 s and 1 GB more memory, under a limit of 1 megapixel.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import resource
import sys
import time
from collections import Counter

import numpy as np

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.stream import bitstream

MAX_PIXELS = 1_000_000
_NUMBERS = (0, 1, 63, 64, 65, 1000, 2**16, 2**21 - 1, 2**21, 2**32, 2**35 - 1)


def _flip(rng, data: bytearray) -> bytearray:
  for _ in range(rng.integers(1, 9)):
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
  return data


def _cut(rng, data: bytearray) -> bytearray:
  return data[: rng.integers(len(data))]


def _splice(rng, data: bytearray) -> bytearray:
  a, b = sorted(rng.integers(0, len(data) + 1, 2))
  at = rng.integers(0, len(data) + 1)
  return data[:at] + data[a:b] + data[at:]


def _drop(rng, data: bytearray) -> bytearray:
  a, b = sorted(rng.integers(0, len(data) + 1, 2))
  return data[:a] + data[b:]


def _noise(rng, data: bytearray) -> bytearray:
  a = rng.integers(len(data))
  b = min(len(data), a + rng.integers(1, 64))
  data[a:b] = rng.bytes(b - a)
  return data


def _header(rng, data: bytearray) -> bytearray:
  """Sets one header field to an extreme, under a valid check value."""
  file = bitstream.unpack(bytes(data))
  field = rng.choice(("height", "width", "q", "colour", "symbols_check"))
  number = int(rng.choice(_NUMBERS))
  limit = {"q": 2**16, "colour": 256, "symbols_check": 2**16}.get(field)
  value = number % limit if limit else number
  return bytearray(bitstream.pack(dataclasses.replace(file, **{field: value})))


def _payload(rng, data: bytearray) -> bytearray:
  """Damages a coded string or section under a valid check value."""
  file = bitstream.unpack(bytes(data))
  strings = {"z": file.z, "y": file.y, **file.sections}
  which = list(strings)[rng.integers(len(strings))]
  if strings[which]:
    damage = (_flip, _cut, _splice, _noise)[rng.integers(4)]
    strings[which] = bytes(damage(rng, bytearray(strings[which])))
  z, y = strings.pop("z"), strings.pop("y")
  changed = dataclasses.replace(file, z=z, y=y, sections=strings)
  return bytearray(bitstream.pack(changed))


_MUTATIONS = (_flip, _cut, _splice, _drop, _noise, _header, _payload, _payload)


def sample_files(codec: Codec, images) -> list[bytes]:
  """Each image at three qualities, and one with every section."""
  files = [codec.compress(x, q) for x in images for q in (1, 3.5, 8)]
  image = np.dstack([images[0], images[0][..., 0]])
  extra = {"icc": bytes(range(200)), "exif": b"exif", "xmp": b"<x/>"}
  qualities = np.array([[1, 8.0], [3, 3]])
  return files + 3 * [codec.compress(image, qualities, extra)]


def mutants(files: list[bytes], count: int, seed: int):
  """Yields `count` damaged files, a pure function of the seed."""
  rng = np.random.default_rng(seed)
  for _ in range(count):
    data = bytearray(files[rng.integers(len(files))])
    yield bytes(_MUTATIONS[rng.integers(len(_MUTATIONS))](rng, data))


def outcome(codec: Codec, data: bytes) -> str:
  """`picture`, or the first words of the error; anything else propagates."""
  try:
    image = codec.decompress(data)
    codec.metadata(data)
  except ValueError as error:
    assert "\n" not in str(error)
    return re.sub("[0-9.]+", "#", " ".join(str(error).split()[:7]))
  header = bitstream.unpack_header(data)
  assert image.shape[:2] == (header.height, header.width)
  return "picture"


def run(codec: Codec, files: list[bytes], count: int, seed: int = 0):
  """(outcomes, seconds of the slowest, MiB of peak memory gained)."""
  outcome(codec, files[0])
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  outcomes, slowest = Counter(), 0.0
  for data in mutants(files, count, seed):
    start = time.perf_counter()
    outcomes[outcome(codec, data)] += 1
    slowest = max(slowest, time.perf_counter() - start)
  after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return outcomes, slowest, (after - before) / 1024


def main() -> None:
  import skimage.data

  from sclc_jax.codec.model.model_file import find_model

  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--count", type=int, default=10_000)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--engine", default="auto")
  parser.add_argument("--model", help=".sclcm file or shipped name")
  args = parser.parse_args()
  codec = Codec(find_model(args.model), args.engine, max_pixels=MAX_PIXELS)
  photo = skimage.data.astronaut()[:128, 160:320]
  images = (photo, photo[:70, :33], photo[..., 0])
  files = sample_files(codec, images)
  outcomes, slowest, gained = run(codec, files, args.count, args.seed)
  for words, count in outcomes.most_common():
    print(f"{count:6d}  {words}")
  print(f"slowest {slowest:.2f} s, {gained:.0f} MiB gained")
  if slowest > 2 or gained > 1024:
    sys.exit("a limit was passed")


if __name__ == "__main__":
  main()
