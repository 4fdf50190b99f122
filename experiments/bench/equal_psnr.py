"""Bytes at equal PSNR, from rows of `sclc evaluate --csv`.

    python experiments/bench/equal_psnr.py \
      --anchor experiments/results/kodak_hyperprior_mse.csv \
      --rows experiments/results/kodak_hyperprior_mse_conditional.csv

At each quality of the rows: the mean rate against the anchor's at the same mean
PSNR, percent. Where the anchor lacks such a PSNR, both are taken at its PSNR of
this quality. Then the BD-rate of the means and those of single images, the
lowest and the highest.
"""

from __future__ import annotations

import csv

import numpy as np
from common import argument_parser
from scipy.interpolate import PchipInterpolator

from sclc_jax.evaluation.curves import Curve, bd_rate, make_curve


def _read(path: str) -> dict[str, list[dict[str, str]]]:
  """Rows of each image, and those of the mean."""
  images: dict[str, list[dict[str, str]]] = {}
  with open(path, newline="") as file:
    for row in csv.DictReader(file):
      images.setdefault(row["image"], []).append(row)
  return images


def _log_rate(curve: Curve, psnr: float) -> float:
  """Log of bpp at a PSNR; nan outside the curve."""
  rates, values = curve.points("psnr_db")
  interpolate = PchipInterpolator(values, np.log(rates), extrapolate=False)
  return float(interpolate(psnr))


def _changes(anchor: list[dict], rows: list[dict]) -> dict[str, float]:
  """Of the rate at equal PSNR, percent, by quality; nan if none is common."""
  curves = make_curve(anchor), make_curve(rows)
  anchor_psnr = {row["quality"]: float(row["psnr_db"]) for row in anchor}
  changes = {}
  for row in rows:
    quality = row["quality"]
    for psnr in (float(row["psnr_db"]), anchor_psnr.get(quality, np.nan)):
      before, after = (_log_rate(curve, psnr) for curve in curves)
      changes[quality] = 100 * np.expm1(after - before)
      if not np.isnan(changes[quality]):
        break
  return changes


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument("--anchor", required=True, help="rows to compare with")
  parser.add_argument("--rows", nargs="+", required=True, help="to compare")
  args = parser.parse_args()
  anchors = _read(args.anchor)
  for path in args.rows:
    images = _read(path)
    changes = _changes(anchors["MEAN"], images["MEAN"])
    rates = {
      name: bd_rate(make_curve(anchors[name]), make_curve(rows), "psnr_db")
      for name, rows in images.items()
    }
    mean = rates.pop("MEAN")
    print(path)
    shown = (f"{float(k):g}: {v:+.1f}" for k, v in changes.items())
    print(f"  at quality  {'  '.join(shown)} %")
    print(
      f"  BD-rate {mean:+.2f} %, single images {min(rates.values()):+.1f} to "
      f"{max(rates.values()):+.1f} %"
    )


if __name__ == "__main__":
  main()
