"""Training logs: one CSV row a report, and TensorBoard beside it."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

VALIDATION = ("step", "stage", "quality", "bytes", "bpp", "psnr_db", "score")


def summarise(sums: dict[str, np.ndarray]) -> dict[str, float]:
  """Per-level sums of the loss to columns `bpp_1`, `psnr_db_1`, ...

  Levels that no example had are nan. PSNR is that of the mean MSE.
  """
  count = np.asarray(sums["count"], np.float64)
  row: dict[str, float] = {}
  for level, n in enumerate(count):
    mse, bpp, selected = (
      float(sums[key][level]) / n if n else float("nan")
      for key in ("mse", "bpp", "selected")
    )
    row[f"bpp_{level + 1}"] = bpp
    row[f"psnr_db_{level + 1}"] = float(10 * np.log10(255**2 / mse))
    row[f"selected_{level + 1}"] = selected
  return row


class _Table:
  """A CSV file with a column `step`, appended to.

  Rows beyond the step that a run starts from are dropped first, so that the
  file of a resumed run equals an unbroken one's.
  """

  def __init__(self, path: pathlib.Path, columns: Sequence[str], start: int):
    self._path, self._columns = path, columns
    kept = []
    if path.exists():
      with path.open(newline="") as file:
        kept = [r for r in csv.DictReader(file) if int(r["step"]) <= start]
    with path.open("w", newline="") as file:
      writer = csv.DictWriter(file, columns)
      writer.writeheader()
      writer.writerows(kept)

  def write(self, row: dict) -> None:
    with self._path.open("a", newline="") as file:
      csv.DictWriter(file, self._columns).writerow(
        {
          key: f"{value:.6g}" if isinstance(value, float) else value
          for key, value in row.items()
        }
      )


class TrainingLog:
  """DIR/log.csv, DIR/validation.csv where there is one, DIR/tensorboard."""

  def __init__(
    self,
    workdir: pathlib.Path,
    levels: int,
    start_step: int,
    validates: bool = False,
  ):
    from tensorboardX import SummaryWriter

    nan = {"count": np.zeros(levels)}
    nan |= {key: np.zeros(levels) for key in ("mse", "bpp", "selected")}
    columns = ["step", "stage", "loss", "lr", "skipped", *summarise(nan)]
    self._steps = _Table(workdir / "log.csv", columns, start_step)
    if validates:
      self._validation = _Table(
        workdir / "validation.csv", VALIDATION, start_step
      )
    self._board = SummaryWriter(str(workdir / "tensorboard"))

  def write(self, row: dict) -> None:
    """Adds one report."""
    self._steps.write(row)
    self._plot(row, "")

  def write_validation(self, row: dict) -> None:
    """Adds one quality of one validation."""
    self._validation.write(row)
    self._plot(row, f"validation_{row['quality']:g}/")

  def close(self) -> None:
    """Flushes TensorBoard."""
    self._board.close()

  def _plot(self, row: dict, prefix: str) -> None:
    for key, value in row.items():
      if isinstance(value, float) and np.isfinite(value):
        self._board.add_scalar(prefix + key, value, row["step"])
    self._board.flush()
