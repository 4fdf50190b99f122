"""Rate and distortion over a folder, through real files."""

from __future__ import annotations

import concurrent.futures
import csv
import dataclasses
import functools
import io
import itertools
import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import tqdm

from sclc_jax import metrics
from sclc_jax.codec.stream.bitstream import describe
from sclc_jax.cpus import cpu_count
from sclc_jax.evaluation.curves import METRICS, Curve, make_curve
from sclc_jax.files import absolute, write_whole
from sclc_jax.images import load_image

COLUMNS = (
  "image", "quality", "bytes", "bpp", "psnr_db", "ms_ssim",
  "selected_fraction", "encode_s", "decode_s",
)  # fmt: skip


# A picture that was coded: its row so far, what went in, what came out.
Coding = tuple[dict, np.ndarray, np.ndarray]
# Further metrics by their columns, of a picture and its reconstruction.
Scores = Mapping[str, Callable[[np.ndarray, np.ndarray], float]]
_CHUNK = 8  # pictures that wait to be measured together


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What was measured of one model.

  Attributes:
    rows: one an image and quality: COLUMNS, the bytes of each part of the file
      (`header_bytes`, `z_bytes`, `y_bytes`, ...) and further metrics.
    scores: columns of the further metrics.
  """

  rows: list[dict]
  scores: tuple[str, ...] = ()

  @functools.cached_property
  def means(self) -> list[dict]:
    """Means of all that is a number: one row a quality, as first measured."""
    return mean_rows(self.rows)

  @property
  def rising(self) -> list[dict]:
    """`means` from the lowest quality to the highest."""
    return sorted(self.means, key=lambda row: row["quality"])

  @property
  def curve(self) -> Curve:
    """The curve of the means."""
    return make_curve(self.means)

  def write_csv(self, path: str | os.PathLike) -> None:
    """The rows, then the means as rows whose image is MEAN."""
    means = [{"image": "MEAN", **mean} for mean in self.means]
    write_csv([*self.rows, *means], path, (*COLUMNS, *self.scores))

  def write_json(
    self, path: str | os.PathLike, name: str, description: str
  ) -> None:
    """The means as CompressAI's tools read them, without what is not known."""
    columns = {metric.json: metric.column for metric in METRICS.values()} | {
      "bpp": "bpp", "encoding_time": "encode_s", "decoding_time": "decode_s"
    }  # fmt: skip
    results = {
      key: [mean[column] for mean in self.rising]
      for key, column in columns.items()
      if all(np.isfinite(mean.get(column, np.nan)) for mean in self.means)
    }
    content = {"name": name, "description": description, "results": results}
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())

  def table(self) -> str:
    """The means, aligned."""
    keys = ("quality", "bpp", "psnr_db", "ms_ssim", *self.scores,
            "selected_fraction", "encode_s", "decode_s")  # fmt: skip
    lines = ["  ".join(f"{key:>9}" for key in keys)]
    for mean in self.means:
      lines.append(
        "  ".join(f"{mean[key]:>{max(9, len(key))}.4f}" for key in keys)
      )
    return "\n".join(lines)


def measured(codings: Iterator[Coding], scores: Scores) -> list[dict]:
  """Adds bpp, psnr_db, ms_ssim and the further metrics to the rows.

  Codes some, then measures these in threads, so that the coding, whose time is
  taken, has the machine for itself.
  """

  def measure(coding: Coding) -> dict:
    row, x, x_hat = coding
    return row | {
      "bpp": 8 * row["bytes"] / (x.shape[0] * x.shape[1]),
      "psnr_db": metrics.psnr_db(x, x_hat),
      "ms_ssim": metrics.ms_ssim(x, x_hat),
      **{column: score(x, x_hat) for column, score in scores.items()},
    }

  rows = []
  with concurrent.futures.ThreadPoolExecutor(cpu_count()) as pool:
    while chunk := list(itertools.islice(codings, _CHUNK)):
      rows += pool.map(measure, chunk)
  return rows


def image_names(paths: Sequence[str | os.PathLike]) -> list[str]:
  """The paths from the folder on that they share: names if it is flat."""
  if not paths:
    return []
  whole = [os.fspath(absolute(path)) for path in paths]
  shared = os.path.commonpath([os.path.dirname(path) for path in whole])
  below = (pathlib.PurePath(os.path.relpath(path, shared)) for path in whole)
  return [path.as_posix() for path in below]


def evaluate(
  codec,
  paths: Iterable[str | os.PathLike],
  qualities: Iterable[float],
  quiet: bool = False,
  name: str = "sclc",
  scores: Scores | None = None,
) -> Evaluation:
  """Codes every image at every quality, writes it, reads it and decodes it.

  Args:
    codec: a `Codec`, whose `max_pixels` holds for the images.
    paths: of the images.
    qualities: in [1, L].
    quiet: no progress bar.
    name: on the progress bar.
    scores: further metrics.

  Returns:
    Rows whose `image` is as of `image_names`; `encode_s` includes the analysis,
    though all qualities share it.
  """
  paths, qualities = list(paths), list(qualities)
  bar = tqdm.tqdm(
    total=len(paths) * len(qualities), disable=quiet, file=sys.stderr,
    desc=name,
  )  # fmt: skip

  def codings(file: pathlib.Path) -> Iterator[Coding]:
    for path, image_name in zip(paths, image_names(paths)):
      image = load_image(path, codec.max_pixels)
      for coding in code_image(codec, image, image_name, qualities, file):
        yield coding
        bar.update()

  scores = scores or {}
  with tempfile.TemporaryDirectory() as folder, bar:
    file = pathlib.Path(folder) / "image.sclc"
    return Evaluation(measured(codings(file), scores), tuple(scores))


def code_image(
  codec,
  image: np.ndarray,
  name: str,
  qualities: Iterable[float],
  file: pathlib.Path,
) -> Iterator[Coding]:
  """Codes an image at each quality, through a file that is written anew."""
  start = time.perf_counter()
  analysis = codec.analyse(image)
  analysis_s = time.perf_counter() - start
  for quality in qualities:
    start = time.perf_counter()
    file.write_bytes(codec.encode(analysis, quality))
    encode_s = analysis_s + time.perf_counter() - start
    start = time.perf_counter()
    data = file.read_bytes()
    x_hat = codec.decompress(data)
    decode_s = time.perf_counter() - start
    row = {
      "image": name,
      "quality": quality,
      "bytes": len(data),
      "selected_fraction": float(codec.mask(analysis, quality).mean()),
      "encode_s": encode_s,
      "decode_s": decode_s,
      **part_sizes(data),
    }
    yield row, image, x_hat


def part_sizes(data: bytes) -> dict[str, int]:
  """Bytes of a file's header, coded z, coded y and sections by `NAME_bytes`."""
  return {k: v for k, v in describe(data).items() if k.endswith("_bytes")}


def mean_rows(rows: list[dict]) -> list[dict]:
  """One row a quality: the mean of each column of numbers.

  What some rows lack, such as the bytes of a section, counts as 0 there.
  """
  groups: dict[float, list[dict]] = {}
  for row in rows:
    groups.setdefault(row["quality"], []).append(row)
  columns = dict.fromkeys(key for row in rows for key in row)
  return [
    {"quality": quality}
    | {
      column: float(np.mean([row.get(column, 0) for row in group]))
      for column in columns
      if column not in ("image", "quality")
    }
    for quality, group in groups.items()
  ]


def write_csv(
  rows: list[dict], path: str | os.PathLike, columns: Sequence[str]
) -> None:
  """These columns of the rows as CSV, whole or not at all."""
  buffer = io.StringIO()
  writer = csv.DictWriter(
    buffer, columns, lineterminator="\n", extrasaction="ignore"
  )
  writer.writeheader()
  writer.writerows(rows)
  # Names of files are bytes, which need not be UTF-8.
  write_whole(path, buffer.getvalue().encode(errors="surrogateescape"))

