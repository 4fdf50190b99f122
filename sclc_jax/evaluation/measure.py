"""Rate and distortion over a folder, through real files."""

from __future__ import annotations

import concurrent.futures
import csv
import io
import itertools
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tqdm

from sclc_jax import metrics
from sclc_jax.cpus import cpu_count
from sclc_jax.files import write_whole
from sclc_jax.images import load_image

COLUMNS = (
  "image", "quality", "bytes", "bpp", "psnr_db", "ms_ssim",
  "selected_fraction", "encode_s", "decode_s",
)  # fmt: skip


# A picture that was coded: its row so far, what went in, what came out.
Coding = tuple[dict, np.ndarray, np.ndarray]
_CHUNK = 8  # pictures that wait to be measured together


def measured(codings: Iterator[Coding]) -> list[dict]:
  """Adds bpp, psnr_db and ms_ssim to the rows.

  Codes some, then measures these in threads, so that the coding, whose time is
  taken, has the machine for itself.
  """

  def measure(coding: Coding) -> dict:
    row, x, x_hat = coding
    return row | {
      "bpp": 8 * row["bytes"] / (x.shape[0] * x.shape[1]),
      "psnr_db": metrics.psnr_db(x, x_hat),
      "ms_ssim": metrics.ms_ssim(x, x_hat),
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
  whole = [pathlib.Path(path).absolute() for path in paths]
  shared = os.path.commonpath([path.parent for path in whole])
  return [path.relative_to(shared).as_posix() for path in whole]


def evaluate(
  codec,
  paths: Iterable[str | os.PathLike],
  qualities: Iterable[float],
  quiet: bool = False,
  name: str = "sclc",
) -> list[dict]:
  """Codes every image at every quality, writes it, reads it and decodes it.

  Args:
    codec: a `Codec`, whose `max_pixels` holds for the images.
    paths: of the images.
    qualities: in [1, L].
    quiet: no progress bar.
    name: on the progress bar.

  Returns:
    One row an image and quality, then one `MEAN` row a quality. `image` is as
    of `image_names`; `encode_s` includes the analysis, though all qualities
    share it.
  """
  paths, qualities = list(paths), list(qualities)
  bar = tqdm.tqdm(
    total=len(paths) * len(qualities), disable=quiet, file=sys.stderr,
    desc=name,
  )  # fmt: skip

  def codings(file: pathlib.Path) -> Iterator[Coding]:
    for path, image_name in zip(paths, image_names(paths)):
      image = load_image(path, codec.max_pixels)
      start = time.perf_counter()
      analysis = codec.analyse(image)
      analysis_s = time.perf_counter() - start
      for quality in qualities:
        start = time.perf_counter()
        file.write_bytes(codec.encode(analysis, quality))
        encode_s = analysis_s + time.perf_counter() - start
        start = time.perf_counter()
        x_hat = codec.decompress(file.read_bytes())
        decode_s = time.perf_counter() - start
        row = {
          "image": image_name,
          "quality": quality,
          "bytes": file.stat().st_size,
          "selected_fraction": float(codec.mask(analysis, quality).mean()),
          "encode_s": encode_s,
          "decode_s": decode_s,
        }
        yield row, image, x_hat
        bar.update()

  with tempfile.TemporaryDirectory() as folder, bar:
    rows = measured(codings(pathlib.Path(folder) / "image.sclc"))
  return rows + mean_rows(rows)


def mean_rows(rows: list[dict], keys: Iterable[str] = ()) -> list[dict]:
  """One row a quality, with `image` = `MEAN`; of the columns and of `keys`."""
  means = []
  for quality in dict.fromkeys(row["quality"] for row in rows):
    group = [row for row in rows if row["quality"] == quality]
    mean = {"image": "MEAN", "quality": quality}
    for key in (*COLUMNS[2:], *keys):
      mean[key] = float(np.mean([row[key] for row in group]))
    means.append(mean)
  return means


def write_csv(
  rows: list[dict], path: str | os.PathLike, columns: Sequence[str] = COLUMNS
) -> None:
  """The rows as CSV, whole or not at all."""
  buffer = io.StringIO()
  writer = csv.DictWriter(buffer, columns, lineterminator="\n")
  writer.writeheader()
  writer.writerows(rows)
  # Names of files are bytes, which need not be UTF-8.
  write_whole(path, buffer.getvalue().encode(errors="surrogateescape"))


def format_table(rows: list[dict]) -> str:
  """The MEAN rows, aligned."""
  keys = ("quality", "bpp", "psnr_db", "ms_ssim", "selected_fraction",
          "encode_s", "decode_s")  # fmt: skip
  lines = ["  ".join(f"{key:>9}" for key in keys)]
  for row in rows:
    if row["image"] == "MEAN":
      lines.append(
        "  ".join(f"{row[key]:>{max(9, len(key))}.4f}" for key in keys)
      )
  return "\n".join(lines)
