"""Bytes at equal PSNR, from rows of `sclc evaluate --csv`.

    python experiments/bench/equal_psnr.py \
      --anchor experiments/results/kodak_hyperprior_mse.csv \
      --rows experiments/results/kodak_hyperprior_mse_conditional.csv

At each quality of the rows: the mean rate against the anchor's at the same mean
PSNR, percent ('-': the anchor has no such PSNR). Then the BD-rate of the means
and those of single images, the lowest and the highest.
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


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument("--anchor", required=True, help="rows to compare with")
  parser.add_argument("--rows", nargs="+", required=True, help="to compare")
  args = parser.parse_args()
  anchors = _read(args.anchor)
  bpp, psnr = _points(anchors["MEAN"])
  log_rate = PchipInterpolator(psnr, np.log(bpp), extrapolate=False)
  for path in args.rows:
    curves = _read(path)
    changes = []
    for quality, (rate, value) in sorted(curves["MEAN"].items()):
      change = 100 * (rate / np.exp(log_rate(value)) - 1)
      shown = "-" if np.isnan(change) else f"{change:+.1f}"
      changes.append(f"{quality:g}: {shown}")
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
