"""Which learning rate goes with a batch: table and plot of a sweep.

    sclc sweep batch_size --workdir W ...
    python experiments/bench/batch_size.py --workdir W --output batch_size.csv

The loss of a point is the average over the last quarter of its crops, which are
the same in all points. The best rate of a batch is that at the vertex of the
parabola through its best point and the two next to it, in log(rate). The plot
gets the table's name, with .png.
"""

import csv
import pathlib

import numpy as np
from common import argument_parser

from sclc_jax.runs.sweep import load_sweep


def final_loss(log: pathlib.Path) -> float:
  """Of the last quarter of a run's rows."""
  with log.open(newline="") as file:
    losses = [float(row["loss"]) for row in csv.DictReader(file)]
  return float(np.mean(losses[-(len(losses) // 4) :]))


def best_rate(rates: list[float], losses: list[float]) -> float:
  """At the vertex of a parabola; nan where the best point is at an end."""
  order = np.argsort(rates)
  x, y = np.log(rates)[order], np.array(losses)[order]
  i = int(np.argmin(y))
  if not 0 < i < len(y) - 1:
    return float("nan")
  a, b, _ = np.polyfit(x[i - 1 : i + 2], y[i - 1 : i + 2], 2)
  return float(np.exp(-b / (2 * a)))


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument("--workdir", required=True, help="of the sweep")
  parser.add_argument("--output", required=True, help="the table")
  args = parser.parse_args()
  points = load_sweep("batch_size")
  rows = []
  for name, config in points.items():
    log = pathlib.Path(args.workdir) / name / "log.csv"
    if (log.parent / "rd.csv").exists():  # it is done
      batch, lr = config.data.batch_size, config.optim.lr
      rows.append({"batch": batch, "lr": lr, "loss": final_loss(log)})
  output = pathlib.Path(args.output)
  with output.open("w", newline="") as file:
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "loss": f"{row['loss']:.3f}"} for row in rows)
  plot(rows, output.with_suffix(".png"))


def plot(rows: list[dict], path: pathlib.Path) -> None:
  """The loss over the rate, a line a batch; prints the best rates."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot as plt

  figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
  for batch in sorted({row["batch"] for row in rows}):
    mine = [row for row in rows if row["batch"] == batch]
    rates, losses = ([row[key] for row in mine] for key in ("lr", "loss"))
    best = best_rate(rates, losses)
    print(f"batch {batch}: best at {best:.2g}, loss {min(losses):.3f}")
    axes.plot(rates, losses, "o-", label=f"batch {batch}")
  axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
  axes.legend()
  figure.savefig(path, dpi=100)


if __name__ == "__main__":
  main()
