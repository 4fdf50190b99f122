"""What training steps bring, from the validations that runs have logged.

    python experiments/bench/training_curve.py RUN ... --csv F --plot F.png

Each RUN is a workdir with validation.csv (`train.validate_every`). BD-rate by
PSNR of every validation, through real files, against the end of the first RUN.
Learning rates fall within a run, so its own course says little of what a
longer one would reach. What a doubling of steps brings is told by the ends of
RUNs that differ in length alone: the slope over log2 of their steps.
"""

from __future__ import annotations

import csv
import pathlib

import numpy as np
from common import argument_parser

from sclc_jax.evaluation.curves import Curve, bd_rate, make_curve
from sclc_jax.evaluation.plots import plot_training


def validations(workdir: pathlib.Path) -> dict[int, Curve]:
  """The RD curve of each validated step."""
  points: dict[int, list] = {}
  with (workdir / "validation.csv").open(newline="") as file:
    for row in csv.DictReader(file):
      point = float(row["bpp"]), float(row["psnr_db"]), float("nan")
      points.setdefault(int(row["step"]), []).append(point)
  return {step: make_curve(found) for step, found in points.items()}


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument(
    "runs", nargs="+", type=pathlib.Path, metavar="RUN", help="workdir"
  )
  parser.add_argument("--csv", help="write the rows")
  parser.add_argument("--plot", help="write a plot")
  args = parser.parse_args()
  runs = {run.name: validations(run) for run in args.runs}
  first = next(iter(runs.values()))
  anchor = first[max(first)]
  rates = {
    name: {step: bd_rate(anchor, c, "psnr_db") for step, c in found.items()}
    for name, found in runs.items()
  }
  rows = [
    (name, step, rate)
    for name, found in rates.items()
    for step, rate in found.items()
  ]
  print(f"{'run':<12}{'step':>7}{'BD-rate %':>12}")
  for name, step, rate in rows:
    print(f"{name:<12}{step:>7}{rate:>12.2f}")
  ends = np.array([(max(found), found[max(found)]) for found in rates.values()])
  if len(set(ends[:, 0])) > 1:
    slope = np.polyfit(np.log2(ends[:, 0]), ends[:, 1], 1)[0]
    print(f"a doubling of steps: {slope:+.2f} % BD-rate")
  if args.csv:
    with open(args.csv, "w", newline="") as file:
      writer = csv.writer(file)
      writer.writerow(("run", "step", "bd_rate_percent"))
      writer.writerows((name, step, f"{r:.3f}") for name, step, r in rows)
  if args.plot:
    plot_training(rates, args.plot)


if __name__ == "__main__":
  main()
