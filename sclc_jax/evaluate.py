"""Rate and distortion over a folder, through real files."""

from __future__ import annotations

import csv
import io
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterable

import numpy as np
import tqdm

from sclc_jax import metrics
from sclc_jax.codec.images import load_image, write_whole

COLUMNS = (
  "image", "quality", "bytes", "bpp", "psnr_db", "ms_ssim",
  "selected_fraction", "encode_s", "decode_s",
)  # fmt: skip


def evaluate(
  codec, paths: Iterable[str], qualities: Iterable[float], quiet: bool = False
) -> list[dict]:
  """Codes every image at every quality, writes it, reads it and decodes it.

  Returns:
    One row an image and quality, then one `MEAN` row a quality. `encode_s`
    includes the analysis, though all qualities share it.
  """
  rows = []
  paths, qualities = list(paths), list(qualities)
  bar = tqdm.tqdm(
    total=len(paths) * len(qualities), disable=quiet, file=sys.stderr
  )
  with tempfile.TemporaryDirectory() as folder, bar:
    file = pathlib.Path(folder) / "image.sclc"
    for path in paths:
      image = load_image(path)
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
        size = file.stat().st_size
        rows.append(
          {
            "image": pathlib.Path(path).name,
            "quality": quality,
            "bytes": size,
            "bpp": 8 * size / (image.shape[0] * image.shape[1]),
            "psnr_db": metrics.psnr_db(image, x_hat),
            "ms_ssim": metrics.ms_ssim(image, x_hat),
            "selected_fraction": float(codec.mask(analysis, quality).mean()),
            "encode_s": encode_s,
            "decode_s": decode_s,
          }
        )
        bar.update()
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


def mean_curve(rows: list[dict], key: str = "psnr_db"):
  """(bpp, metric) of the MEAN rows."""
  means = [row for row in rows if row["image"] == "MEAN"]
  return (
    np.array([row["bpp"] for row in means]),
    np.array([row[key] for row in means]),
  )


def jpeg_curve(paths: Iterable[str], qualities=(5, 10, 20, 40, 60, 80, 90)):
  """(bpp, PSNR) of Pillow's JPEG (4:2:0, optimised) averaged over images."""
  from PIL import Image

  points = []
  for quality in qualities:
    values = []
    for path in paths:
      image = load_image(path)
      buffer = io.BytesIO()
      Image.fromarray(image).save(
        buffer, "JPEG", quality=quality, optimize=True, subsampling=2
      )
      x_hat = load_image(buffer.getvalue())
      bpp = 8 * buffer.tell() / (image.shape[0] * image.shape[1])
      values.append((bpp, metrics.psnr_db(image, x_hat)))
    points.append(np.mean(values, 0))
  return tuple(np.array(points).T)


def read_anchors(path: str | os.PathLike) -> dict[str, tuple]:
  """Named (bpp, PSNR) curves of a CSV.

  Columns other than level, bpp, psnr_db and ms_ssim name the curve; rows
  without PSNR are skipped.
  """
  curves: dict[str, list] = {}
  values = ("level", "bpp", "psnr_db", "ms_ssim")
  try:
    with open(path, newline="") as file:
      for row in csv.DictReader(file):
        if not row.get("psnr_db"):
          continue
        name = "/".join(v for k, v in row.items() if k not in values)
        point = (float(row["bpp"]), float(row["psnr_db"]))
        curves.setdefault(name, []).append(point)
  except (OSError, KeyError, ValueError) as error:
    raise ValueError(
      f"{path} is not a table of curves with columns bpp and psnr_db ({error})."
    ) from None
  curves = {name: points for name, points in curves.items() if len(points) >= 3}
  if not curves:
    raise ValueError(
      f"{path} holds no curve of at least 3 points; it needs columns bpp and "
      "psnr_db."
    )
  return {
    name: tuple(np.array(sorted(points)).T) for name, points in curves.items()
  }


def write_csv(rows: list[dict], path: str | os.PathLike) -> None:
  """The rows as CSV, whole or not at all."""
  buffer = io.StringIO()
  writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
  writer.writeheader()
  writer.writerows(rows)
  write_whole(path, buffer.getvalue().encode())


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
