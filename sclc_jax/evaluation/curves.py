"""Rate-distortion curves: read from rows and tables, and compared."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from sclc_jax import metrics
from sclc_jax.files import open_text, read_whole


@dataclasses.dataclass(frozen=True)
class Metric:
  """What curves are compared in; more is better.

  Attributes:
    column: of the rows and tables that hold it.
    short: its name.
    label: of its axis, with the unit.
    bd_rate: key of the BD-rate that `sclc evaluate` prints.
    json: key in CompressAI's files of results.
    scale: from the column to the axis.
  """

  column: str
  short: str
  label: str
  bd_rate: str
  json: str
  scale: Callable[[np.ndarray], np.ndarray] = np.asarray


METRICS = {
  "psnr_db": Metric(
    "psnr_db", "PSNR", "RGB PSNR (dB)", "bd_rate_percent", "psnr-rgb"
  ),
  "ms_ssim_db": Metric(
    "ms_ssim", "MS-SSIM", "RGB MS-SSIM (dB, -10 log10(1 - x))",
    "bd_rate_ms_ssim_percent", "ms-ssim-rgb", metrics.ms_ssim_db,
  ),
  "ssimulacra2": Metric(
    "ssimulacra2", "SSIMULACRA2", "SSIMULACRA2 (90: as good as the original)",
    "bd_rate_ssimulacra2_percent", "ssimulacra2",
  ),
}  # fmt: skip
_VALUES = tuple(metric.column for metric in METRICS.values())
_MIN_POINTS = 3


@dataclasses.dataclass(frozen=True)
class Curve:
  """Points of one codec in order of rate, averages over images.

  Attributes:
    bpp: [n].
    values: [n] by the column of each metric that is known, in its unit (of
      MS-SSIM 0..1); nan where a point lacks it.
  """

  bpp: np.ndarray
  values: Mapping[str, np.ndarray]

  def points(self, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(bpp, values) of one of METRICS; None under 3 points."""
    column = self.values.get(METRICS[metric].column)
    if column is None:
      return None
    values = METRICS[metric].scale(column)
    known = np.isfinite(values)
    if known.sum() < _MIN_POINTS:
      return None
    return self.bpp[known], values[known]


def make_curve(rows: Iterable[Mapping[str, Any]]) -> Curve:
  """From rows with bpp and columns of metrics, in any order.

  What a row lacks, or holds as an empty text, is nan.
  """
  rows = sorted(rows, key=lambda row: float(row["bpp"]))

  def number(value: Any) -> float:
    return float("nan") if value in (None, "") else float(value)

  values = {
    column: np.array([number(row.get(column)) for row in rows])
    for column in _VALUES
    if any(row.get(column) not in (None, "") for row in rows)
  }
  return Curve(np.array([float(row["bpp"]) for row in rows]), values)


def _json_rows(path: str | os.PathLike) -> dict[str, list[dict]]:
  """Rows of CompressAI's files of results: lists by metric."""
  content = json.loads(read_whole(path))
  results = content.get("results", content)
  columns = {"bpp": "bpp"} | {m.json: m.column for m in METRICS.values()}
  lists = {column: results.get(key) for key, column in columns.items()}
  name = str(content.get("name", pathlib.Path(path).stem))
  return {
    name: [
      {key: values[i] for key, values in lists.items() if values}
      for i in range(len(lists["bpp"]))
    ]
  }


def _csv_rows(path: str | os.PathLike) -> dict[str, list[dict]]:
  """Rows of a CSV by the name of their curve."""
  rows: dict[str, list[dict]] = {}
  values = ("level", "bpp", *_VALUES)
  with open_text(path) as file:
    for row in csv.DictReader(file):
      name = "/".join(v for k, v in row.items() if k not in values)
      rows.setdefault(name, []).append(row)
  return rows


def read_anchors(path: str | os.PathLike) -> dict[str, Curve]:
  """Named curves of a CSV, or of a JSON file as CompressAI writes it.

  Columns other than level, bpp and those of METRICS name the curve.

  Raises:
    ValueError: no such table, or no curve of 3 points in any metric.
  """
  is_json = pathlib.Path(path).suffix.lower() == ".json"
  try:
    rows = (_json_rows if is_json else _csv_rows)(path)
    curves = {name: make_curve(group) for name, group in rows.items()}
  except (
    OSError, KeyError, ValueError, TypeError, IndexError, AttributeError
  ) as error:  # fmt: skip
    raise ValueError(
      f"{path} is not a table of curves with columns bpp and psnr_db or "
      f"ms_ssim ({error})."
    ) from None
  curves = {
    name: curve
    for name, curve in curves.items()
    if any(curve.points(metric) for metric in METRICS)
  }
  if not curves:
    raise ValueError(
      f"{path} holds no curve of at least 3 points; it needs columns bpp and "
      "psnr_db or ms_ssim."
    )
  return curves


def bd_rate(anchor: Curve, curve: Curve, metric: str) -> float:
  """BD-rate in percent against an anchor; nan where it is not defined."""
  points = anchor.points(metric), curve.points(metric)
  if None in points:
    return float("nan")
  return metrics.bd_rate(*points[0], *points[1])


def shared_range(a: Curve, b: Curve, metric: str) -> float:
  """Overlap of two curves' values as a share of the shorter range, 0..1.

  A BD-rate over a small part of both curves says little about them.
  """
  points = a.points(metric), b.points(metric)
  if None in points:
    return 0.0
  (low_a, high_a), (low_b, high_b) = (
    (values.min(), values.max()) for _, values in points
  )
  shorter = min(high_a - low_a, high_b - low_b)
  if shorter <= 0:
    return 0.0
  return max(0.0, min(high_a, high_b) - max(low_a, low_b)) / shorter


def value_at(curve: Curve, bpp: np.ndarray, metric: str) -> np.ndarray:
  """A metric at given rates, PCHIP on log-rate; nan outside the curve."""
  from scipy.interpolate import PchipInterpolator

  points = curve.points(metric)
  if points is None:
    return np.full(np.shape(bpp), np.nan)
  rate, order = np.unique(np.log(points[0]), return_index=True)
  if rate.size < 2:
    return np.full(np.shape(bpp), np.nan)
  interpolate = PchipInterpolator(rate, points[1][order], extrapolate=False)
  return interpolate(np.log(bpp))
