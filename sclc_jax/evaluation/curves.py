"""Rate-distortion curves: from rows and tables, and what compares them."""

from __future__ import annotations

import csv
import dataclasses
import os

import numpy as np

from sclc_jax import metrics

# What curves are compared in, and its axis label.
METRICS = {
  "psnr_db": "RGB PSNR (dB)",
  "ms_ssim_db": "RGB MS-SSIM (dB, -10 log10(1 - x))",
}
_MIN_POINTS = 3


@dataclasses.dataclass(frozen=True)
class Curve:
  """Points of one codec in order of rate, averages over images.

  All [n]: bpp, PSNR in dB, MS-SSIM in 0..1; nan where a metric is not known.
  """

  bpp: np.ndarray
  psnr_db: np.ndarray
  ms_ssim: np.ndarray

  def points(self, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(bpp, values) of one of METRICS; None under 3 points."""
    values = {
      "psnr_db": self.psnr_db,
      "ms_ssim_db": metrics.ms_ssim_db(self.ms_ssim),
    }[metric]
    known = np.isfinite(values)
    if known.sum() < _MIN_POINTS:
      return None
    return self.bpp[known], values[known]


def make_curve(points: list[tuple[float, float, float]]) -> Curve:
  """From (bpp, PSNR in dB, MS-SSIM in 0..1) in any order."""
  return Curve(*np.array(sorted(points), float).T)


def mean_curve(rows: list[dict]) -> Curve:
  """The curve of the MEAN rows of `evaluate`."""
  return make_curve(
    [
      (row["bpp"], row["psnr_db"], row["ms_ssim"])
      for row in rows
      if row["image"] == "MEAN"
    ]
  )


def read_anchors(path: str | os.PathLike) -> dict[str, Curve]:
  """Named curves of a CSV.

  Columns other than level, bpp, psnr_db and ms_ssim (0..1) name the curve.

  Raises:
    ValueError: no such table, or no curve of 3 points in any metric.
  """
  found: dict[str, list] = {}
  values = ("level", "bpp", "psnr_db", "ms_ssim")
  try:
    with open(path, newline="") as file:
      for row in csv.DictReader(file):
        name = "/".join(v for k, v in row.items() if k not in values)
        point = [float(row["bpp"])]
        point += [float(row.get(key) or "nan") for key in values[2:]]
        found.setdefault(name, []).append(tuple(point))
  except (OSError, KeyError, ValueError, TypeError) as error:
    raise ValueError(
      f"{path} is not a table of curves with columns bpp and psnr_db or "
      f"ms_ssim ({error})."
    ) from None
  curves = {name: make_curve(points) for name, points in found.items()}
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
