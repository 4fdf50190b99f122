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

from sclc_jax.metrics import bd_rate

# Of each image and of the mean: quality -> (bpp, PSNR).
Curves = dict[str, dict[float, tuple[float, float]]]


def _read(path: str) -> Curves:
  curves: Curves = {}
  with open(path, newline="") as file:
    for row in csv.DictReader(file):
      point = float(row["bpp"]), float(row["psnr_db"])
      curves.setdefault(row["image"], {})[float(row["quality"])] = point
  return curves


def _points(curve: dict) -> tuple[np.ndarray, np.ndarray]:
  """(bpp, PSNR), each [n], by rising quality."""
  bpp, psnr = np.array([curve[quality] for quality in sorted(curve)]).T
  return bpp, psnr


def _log_rate(curve: dict) -> PchipInterpolator:
  """Log of bpp by PSNR; nan outside the curve."""
  bpp, psnr = _points(curve)
  return PchipInterpolator(psnr, np.log(bpp), extrapolate=False)


def _change(quality: float, anchor: dict, curve: dict) -> float:
  """Of the rate at equal PSNR, percent; nan where no PSNR is common."""
  rate, psnr = curve[quality]
  change = np.log(rate) - _log_rate(anchor)(psnr)
  if np.isnan(change) and quality in anchor:
    rate, psnr = anchor[quality]
    change = _log_rate(curve)(psnr) - np.log(rate)
  return 100 * np.expm1(change)


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument("--anchor", required=True, help="rows to compare with")
  parser.add_argument("--rows", nargs="+", required=True, help="to compare")
  args = parser.parse_args()
  anchors = _read(args.anchor)
  for path in args.rows:
    curves = _read(path)
    changes = [
      f"{quality:g}: {_change(quality, anchors['MEAN'], curves['MEAN']):+.1f}"
      for quality in sorted(curves["MEAN"])
    ]
    rates = {
      name: bd_rate(*_points(anchors[name]), *_points(curve))
      for name, curve in curves.items()
    }
    mean = rates.pop("MEAN")
    print(path)
    print(f"  at quality  {'  '.join(changes)} %")
    print(
      f"  BD-rate {mean:+.2f} %, single images {min(rates.values()):+.1f} to "
      f"{max(rates.values()):+.1f} %"
    )


if __name__ == "__main__":
  main()
