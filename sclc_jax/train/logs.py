"""Training logs: one CSV row a report, and TensorBoard beside it."""

from __future__ import annotations

import csv
import pathlib

import numpy as np

from sclc_jax.config import ExperimentConfig

_SUMMED = ("mse", "bpp", "ms_ssim", "selected")


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
    mean["psnr_db"] = float(10 * np.log10(255**2 / mean.pop("mse")))
    for key in ("bpp", "psnr_db", "ms_ssim", "selected"):
      if key in mean:
        row[f"{key}_{level + 1}"] = mean[key]
  return row


class TrainingLog:
  """Appends rows to DIR/log.csv and scalars to DIR/tensorboard.

  On a resume, rows beyond the restored step are dropped first, so that the
  file equals an unbroken run's.
  """

  def __init__(
    self, workdir: pathlib.Path, config: ExperimentConfig, start_step: int
  ):
    from tensorboardX import SummaryWriter

    self._path = workdir / "log.csv"
    nan = {key: np.zeros(config.model.levels) for key in ("count", *_SUMMED)}
    if config.train.distortion != "ms_ssim":
      del nan["ms_ssim"]
    self._columns = ["step", "stage", "loss", "lr", "skipped"]
    self._columns += list(summarise(nan))
    kept = []
    if self._path.exists():
      with self._path.open(newline="") as file:
        kept = [r for r in csv.DictReader(file) if int(r["step"]) <= start_step]
    with self._path.open("w", newline="") as file:
      writer = csv.DictWriter(file, self._columns)
      writer.writeheader()
      writer.writerows(kept)
    self._board = SummaryWriter(str(workdir / "tensorboard"))

  def write(self, row: dict) -> None:
    """Adds one report."""
    with self._path.open("a", newline="") as file:
      csv.DictWriter(file, self._columns).writerow(
        {
          key: f"{value:.6g}" if isinstance(value, float) else value
          for key, value in row.items()
        }
      )
    for key, value in row.items():
      if isinstance(value, float) and np.isfinite(value):
        self._board.add_scalar(key, value, row["step"])
    self._board.flush()

  def close(self) -> None:
    """Flushes TensorBoard."""
    self._board.close()
