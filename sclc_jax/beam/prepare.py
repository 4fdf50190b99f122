"""A training set from picture files: looked at, chosen, packed in shards.

    files -> examine -> one of each -> train or held out -> shards
                |            |
                +------------+--> left_out.csv

Through the pipeline go facts about pictures, not their pixels: a shard reads
its files again. So a set of any size fits the memory of the local runner.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import glob
import hashlib
import io
import json
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsSingleton, TaggedOutput

from sclc_jax.beam.running import Ticks
from sclc_jax.files import (
  is_folder,
  is_there,
  list_files,
  matches,
  read_whole,
  write_whole,
)
from sclc_jax.formats import MAX_PIXELS, SUFFIXES
from sclc_jax.images import load_rgb
from sclc_jax.images.writer import encode_image
from sclc_jax.train import tfds_images

HELD_OUT = "held_out"  # folder of pictures below the set
LEFT_OUT = "left_out.csv"
SUMMARY = "summary.json"
SCALED = "scaled"  # folder that exists while the pipeline runs
_SHARD_BYTES = 128 * 2**20
_SHARD_PICTURES = 10_000  # see `tfds_images.write_shard`
_GRAY = 2  # of 255: channels of a gray picture are equal, but for rounding
_JPEG = b"\xff\xd8"


@dataclasses.dataclass(frozen=True)
class Rules:
  """Which pictures are taken, and how they are stored.

  Attributes:
    min_side: the shortest side that is taken, pixels.
    keep_gray: take gray pictures as well.
    shorter_side: larger pictures are scaled down to it; 0 for none.
    held_out: fraction that is kept apart, in [0, 1).
    max_pixels: larger pictures count as damaged.
  """

  min_side: int = 256
  keep_gray: bool = False
  shorter_side: int = 0
  held_out: float = 0.01
  max_pixels: int = MAX_PIXELS

  def __post_init__(self):
    if self.min_side < 1:
      raise ValueError(f"--min-side must be at least 1, got {self.min_side}.")
    if self.shorter_side and self.shorter_side < self.min_side:
      raise ValueError(
        f"--shorter-side must be at least --min-side {self.min_side}, got "
        f"{self.shorter_side}; leave it out to store pictures as they are."
      )
    if not 0 <= self.held_out < 1:
      raise ValueError(f"--held-out must lie in [0, 1), got {self.held_out:g}.")


class Picture(NamedTuple):
  """A picture that is taken.

  Attributes:
    name: of its file, as given.
    path: of the file that is stored: the same, or a scaled one.
    key: SHA-256 of size and samples, as hexadecimal digits.
    width: of what is stored, pixels.
    height: likewise.
    size: likewise, bytes.
  """

  name: str
  path: str
  key: str
  width: int
  height: int
  size: int


class LeftOut(NamedTuple):
  """A picture that is not taken, and why."""

  name: str
  reason: str
  detail: str


def build(
  pipeline: beam.Pipeline,
  sources: Sequence[str],
  folder: str,
  rules: Rules,
  ticks: str = "",
) -> None:
  """Adds the steps that make a set.

  Args:
    pipeline: to add them to.
    sources: files, folders and patterns.
    folder: that exists and is empty, where all workers see it.
    rules: what to take.
    ticks: a folder to count examined pictures in (`running.Ticks`).
  """
  examined = (
    pipeline
    | "Sources" >> beam.Create(list(sources))
    | "List" >> beam.FlatMap(_list)
    | "Spread" >> beam.Reshuffle()
    | "Examine"
    >> beam.ParDo(_Examine(folder, rules, ticks)).with_outputs(main="taken")
  )
  chosen = (
    examined.taken
    | "ByKey" >> beam.Map(lambda picture: (picture.key, picture))
    | "Alike" >> beam.GroupByKey()
    | "OneOfEach" >> beam.FlatMap(_one_of_each).with_outputs(main="taken")
  )
  split = chosen.taken | "Split" >> beam.ParDo(_Split(rules)).with_outputs(
    HELD_OUT, main="train"
  )
  shards = _write_shards(split.train, folder)
  held_out = (
    split[HELD_OUT]
    | "SpreadHeldOut" >> beam.Reshuffle()
    | "WriteHeldOut" >> beam.Map(_write_held_out, folder)
    | "CountHeldOut" >> beam.combiners.Count.Globally()
  )
  left_out = (
    (examined.left_out, chosen.left_out)
    | "LeftOut" >> beam.Flatten()
    | "ListLeftOut" >> beam.combiners.ToList()
    | "WriteLeftOut" >> beam.Map(_write_left_out, folder)
  )
  _ = (
    shards
    | "ListShards" >> beam.combiners.ToList()
    | "Describe"
    >> beam.Map(
      _describe, folder, rules, AsSingleton(held_out), AsSingleton(left_out)
    )
  )


def _list(source: str) -> Iterator[tuple[str, str]]:
  """(path, "") of the pictures of a source, (path, why not) of a folder."""
  if is_folder(source):
    listing = list_files(source, SUFFIXES)
    yield from ((str(path), "") for path in listing.files)
    for error in listing.errors:
      yield str(error.filename), f"cannot read the folder: {error.strerror}"
  elif glob.has_magic(source) and not is_there(source):
    paths = sorted(path for path in matches(source) if not path.is_dir())
    yield from ((str(path), "") for path in paths)
  else:
    yield source, ""


class _Examine(beam.DoFn):
  """Decodes a picture and says what it is, or why it is left out."""

  def __init__(self, folder: str, rules: Rules, ticks: str):
    self._folder = folder
    self._rules = rules
    self._ticks = Ticks(ticks)

  def process(self, source: tuple[str, str]):
    name, problem = source
    try:
      if problem:
        raise ValueError(problem)
      result = self._examine(name)
    except ValueError as error:
      result = LeftOut(name, "damaged", str(error))
    self._ticks.add()
    if isinstance(result, LeftOut):
      yield TaggedOutput("left_out", result)
    else:
      yield result

  def _examine(self, name: str) -> Picture | LeftOut:
    rules, path, data = self._rules, name, read_whole(name)
    image = load_rgb(
      data, rules.max_pixels, name, shorter_side=rules.shorter_side
    )
    height, width = image.shape[:2]
    if min(height, width) < rules.min_side:
      return LeftOut(name, "small", f"{width}x{height}")
    if not rules.keep_gray and is_gray(image):
      return LeftOut(name, "gray", f"{width}x{height}")
    scaled = _scaled(image, rules.shorter_side)
    key = key_of(scaled)
    if scaled is not image:
      # What was a JPEG has lost more than another one loses.
      suffix = ".jpg" if data.startswith(_JPEG) else ".webp"
      data = encode_image(scaled, suffix)
      path = f"{self._folder}/{SCALED}/{key}{suffix}"
      write_whole(path, data, make_folder=True)
    height, width = scaled.shape[:2]
    return Picture(name, path, key, width, height, len(data))


def is_gray(image: np.ndarray) -> bool:
  """Whether the channels of uint8 [H, W, 3] are equal, but for rounding."""
  part = image[::16, ::16]  # soon tells what has colours
  return all(
    int(np.ptp(each, axis=2).max()) <= _GRAY for each in (part, image)
  )


def _scaled(image: np.ndarray, shorter_side: int) -> np.ndarray:
  """The picture, scaled down so that its shorter side has so many pixels."""
  from PIL import Image

  shortest = min(image.shape[:2])
  if not shorter_side or shortest <= shorter_side:
    return image
  height, width = (round(n * shorter_side / shortest) for n in image.shape[:2])
  picture = Image.fromarray(image)
  return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def key_of(image: np.ndarray) -> str:
  """SHA-256 of a picture's size and samples, whatever file they came from."""
  digest = hashlib.sha256(repr(image.shape).encode())
  digest.update(np.ascontiguousarray(image))
  return digest.hexdigest()


def _one_of_each(alike: tuple[str, Iterable[Picture]]):
  """The first of equal pictures by name; the others are left out."""
  first, *others = sorted(alike[1])
  yield first
  for other in others:
    left_out = LeftOut(other.name, "duplicate", f"of {first.name}")
    yield TaggedOutput("left_out", left_out)


def is_held_out(key: str, fraction: float) -> bool:
  """Whether the picture of a key is kept apart: that decides alone."""
  return int(key[:16], 16) < fraction * 2**64


class _Split(beam.DoFn):
  """Parts what is trained on from what is held out."""

  def __init__(self, rules: Rules):
    self._rules = rules

  def process(self, picture: Picture):
    if is_held_out(picture.key, self._rules.held_out):
      yield TaggedOutput(HELD_OUT, picture)
    else:
      yield picture


def _write_shards(pictures, folder: str):
  """The shards of a set: (number, how many there are, `Written`) each."""
  shards = (
    pictures
    | "Sizes" >> beam.Map(lambda picture: (1, picture.size))
    | "Total" >> beam.CombineGlobally(_sums)
    | "Shards" >> beam.Map(_shard_count)
  )
  placed = pictures | "Place" >> beam.Map(_place, AsSingleton(shards))
  # A shard may get no picture, and has to be there all the same.
  numbers = shards | "Numbers" >> beam.FlatMap(
    lambda count: [(number, None) for number in range(count)]
  )
  return (
    (placed, numbers)
    | "Together" >> beam.Flatten()
    | "ByShard" >> beam.GroupByKey()
    | "WriteShards" >> beam.Map(_write_shard, folder, AsSingleton(shards))
  )


def _sums(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
  columns = list(zip(*pairs)) or [(), ()]
  return sum(columns[0]), sum(columns[1])


def _shard_count(total: tuple[int, int]) -> int:
  pictures, size = total
  return max(1, -(-pictures // _SHARD_PICTURES), -(-size // _SHARD_BYTES))


def _place(picture: Picture, shards: int) -> tuple[int, Picture]:
  return int(picture.key[16:32], 16) * shards >> 64, picture


class Written(NamedTuple):
  """A shard, and the pixels in it."""

  shard: tfds_images.Shard
  pixels: int


def _write_shard(
  group: tuple[int, Iterable[Picture | None]], folder: str, shards: int
) -> tuple[int, int, Written]:
  number, pictures = group[0], sorted(filter(None, group[1]), key=_by_key)
  name = tfds_images.shard_name(number, shards)
  with tempfile.TemporaryDirectory() as local:
    file = pathlib.Path(local, name)
    shard = tfds_images.write_shard(file, map(_record, pictures))
    write_whole(f"{folder}/{name}", file.read_bytes())
  pixels = sum(picture.width * picture.height for picture in pictures)
  return number, shards, Written(shard, pixels)


def _by_key(picture: Picture) -> str:
  return picture.key


def _read(picture: Picture) -> bytes:
  data = read_whole(picture.path)
  if len(data) != picture.size:
    raise ValueError(
      f"{picture.name} changed while the set was made; start again when "
      "nobody writes to it."
    )
  return data


def _record(picture: Picture) -> tfds_images.Record:
  return {
    "image": _read(picture),
    "width": picture.width,
    "height": picture.height,
    "name": os.fsencode(picture.name),
  }


def _write_held_out(picture: Picture, folder: str) -> str:
  suffix = os.path.splitext(picture.path)[1].lower()
  path = f"{folder}/{HELD_OUT}/{picture.key[:32]}{suffix}"
  write_whole(path, _read(picture), make_folder=True)
  return path


def _write_left_out(pictures: list[LeftOut], folder: str) -> dict[str, int]:
  """Writes the list, in order; returns how many there are of each reason."""
  buffer = io.StringIO()
  writer = csv.writer(buffer, lineterminator="\n")
  writer.writerow(LeftOut._fields)
  writer.writerows(sorted(pictures))
  data = buffer.getvalue().encode(errors="surrogateescape")
  write_whole(f"{folder}/{LEFT_OUT}", data)
  return dict(collections.Counter(picture.reason for picture in pictures))


def _describe(
  shards: list[tuple[int, int, Written]],
  folder: str,
  rules: Rules,
  held_out: int,
  left_out: dict[str, int],
) -> None:
  """Writes what makes the folder a set, and the summary."""
  written = [written for *_, written in sorted(shards)]
  tfds_images.write_description(folder, [w.shard for w in written], about=True)
  summary = {
    "pictures": sum(w.shard.pictures for w in written),
    "megapixels": round(sum(w.pixels for w in written) / 1e6, 1),
    "bytes": sum(w.shard.size for w in written),
    "shards": len(written),
    HELD_OUT: held_out,
    "left_out": dict(sorted(left_out.items())),
    "rules": dataclasses.asdict(rules),
  }
  data = json.dumps(summary, indent=2) + "\n"
  write_whole(f"{folder}/{SUMMARY}", data.encode())
