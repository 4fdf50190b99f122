"""Training logs: one CSV row a report, and TensorBoard beside it."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from sclc_jax.config import ExperimentConfig
from sclc_jax.metrics import psnr_of_mse

_SUMMED = ("mse", "bpp", "ms_ssim", "selected")
VALIDATION = ("step", "stage", "quality", "bytes", "bpp", "psnr_db", "score")


def summarise(sums: dict[str, np.ndarray]) -> dict[str, float]:
  """Per-level sums of the loss to columns `bpp_1`, `psnr_db_1`, ...

  Levels that no example had are nan. PSNR is that of the mean MSE; `ms_ssim_1`
  is there where the sums have it.
  """
  count = np.asarray(sums["count"], np.float64)
  row: dict[str, float] = {}
  for level, n in enumerate(count):
    mean = {
      key: float(sums[key][level]) / n if n else float("nan")
      for key in _SUMMED
      if key in sums
    }
    mean["psnr_db"] = float(psnr_of_mse(mean.pop("mse")))
    for key in ("bpp", "psnr_db", "ms_ssim", "selected"):
      if key in mean:
        row[f"{key}_{level + 1}"] = mean[key]
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
    config: ExperimentConfig,
    start_step: int,
    validates: bool = False,
  ):
    from tensorboardX import SummaryWriter

    nan = {key: np.zeros(config.model.levels) for key in ("count", *_SUMMED)}
    if config.train.distortion != "ms_ssim":
      del nan["ms_ssim"]
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
