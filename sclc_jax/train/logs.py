"""Training logs: one CSV row a report, and TensorBoard beside it."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from sclc_jax.buckets import Path
from sclc_jax.config import ExperimentConfig
from sclc_jax.metrics import psnr_of_mse
from sclc_jax.train.mirror import Mirror

_SUMMED = ("mse", "bpp", "ms_ssim", "selected")
SPEED = ("images_per_s", "step_ms", "data_wait", "peak_share")
VALIDATION = ("step", "stage", "quality", "bytes", "bpp", "psnr_db", "score")


def summarise(sums: dict[str, np.ndarray]) -> dict[str, float | None]:
  """Per-level sums of the loss to columns `bpp_1`, `psnr_db_1`, ...

  Levels that no example had are None. PSNR is that of the mean MSE; `ms_ssim_1`
  is there where the sums have it.
  """
  count = np.asarray(sums["count"], np.float64)
  row: dict[str, float | None] = {}
  for level, n in enumerate(count):
    mean = {
      key: float(sums[key][level]) / n if n else None
      for key in _SUMMED
      if key in sums
    }
    mse = mean.pop("mse")
    mean["psnr_db"] = None if mse is None else float(psnr_of_mse(mse))
    for key in ("bpp", "psnr_db", "ms_ssim", "selected"):
      if key in mean:
        row[f"{key}_{level + 1}"] = mean[key]
  return row


class _Table:
  """A CSV file with a column `step`, appended to.

  Rows beyond the step that a run starts from are dropped first, and one that
  was cut off, so that the steps of a resumed run's file are an unbroken one's.
  Cells of columns that an earlier version did not have are empty.
  """

  def __init__(self, path: pathlib.Path, columns: Sequence[str], start: int):
    self._path, self._columns = path, columns
    kept = []
    if path.exists():
      with path.open(newline="") as file:
        kept = [r for r in csv.DictReader(file) if _is_up_to(r, start)]
    with path.open("w", newline="") as file:
      writer = csv.DictWriter(file, columns, extrasaction="ignore")
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


def _is_up_to(row: dict, step: int) -> bool:
  """Whether a row is complete and of a step up to this one."""
  whole = None not in row.values() and str(row.get("step")).isdigit()
  return whole and int(row["step"]) <= step


class TrainingLog:
  """DIR/log.csv, DIR/validation.csv where there is one, DIR/tensorboard.

  A cell of log.csv is empty where there is nothing to tell: of a level that no
  example had since the last row, or of speed where only compilation took place.

  Attributes:
    board_folder: of this machine, what is written to it goes to TensorBoard.
  """

  def __init__(
    self,
    workdir: Path,
    config: ExperimentConfig,
    start_step: int,
    validates: bool = False,
  ):
    from tensorboardX import SummaryWriter

    nan = {key: np.zeros(config.model.levels) for key in ("count", *_SUMMED)}
    if config.train.distortion != "ms_ssim":
      del nan["ms_ssim"]
    columns = ["step", "stage", "loss", "lr", "skipped", *summarise(nan)]
    columns += ["grad_norm", *SPEED]
    self._mirror = Mirror(workdir, ("log.csv", "validation.csv"))
    folder = self._mirror.folder
    self._steps = _Table(folder / "log.csv", columns, start_step)
    if validates:
      self._validation = _Table(
        folder / "validation.csv", VALIDATION, start_step
      )
    # What an earlier start has written beyond its step is hidden.
    purge = {"purge_step": start_step + 1} if start_step else {}
    self.board_folder = folder / "tensorboard"
    self._board = SummaryWriter(str(self.board_folder), **purge)
    self._has_originals = False

  def write(self, row: dict) -> None:
    """Adds one report."""
    self._steps.write(row)
    self._plot(row, "")
    self._mirror.push_now_and_then()

  def write_validation(self, rows: list[dict]) -> None:
    """Adds one validation, a row a quality."""
    for row in rows:
      self._validation.write(row)
      self._plot(row, f"validation_{row['quality']:g}/")
    step = rows[0]["step"]
    self._add_image("validation/rd", _rd_picture(rows), step)
    self._board.flush()

  def write_pictures(self, step: int, crops: np.ndarray, views) -> None:
    """Adds the crops and what a model makes of them (`pictures.View`)."""
    if not self._has_originals:
      self._add_image("crops/original", np.concatenate(list(crops), 1), step)
      self._has_originals = True
    for view in views:
      self._add_image(f"crops/level_{view.level}", view.reconstruction, step)
      if view.mask is not None:
        self._add_image(f"masks/level_{view.level}", view.mask, step)
    self._board.flush()

  def _add_image(self, tag: str, image: np.ndarray, step: int) -> None:
    layout = "HWC" if image.ndim == 3 else "HW"
    self._board.add_image(tag, image, step, dataformats=layout)

  def push(self) -> None:
    """Makes sure that a bucket has all of it; before a checkpoint is saved."""
    self._mirror.push()

  def close(self) -> None:
    """Flushes TensorBoard."""
    self._board.close()
    self._mirror.close()

  def _plot(self, row: dict, prefix: str) -> None:
    for key, value in row.items():
      is_number = isinstance(value, (int, float)) and key != "step"
      if is_number and np.isfinite(value):
        self._board.add_scalar(prefix + key, value, row["step"])
    self._board.flush()


def _rd_picture(rows: list[dict]) -> np.ndarray:
  """Bits per pixel and PSNR of a validation's qualities, uint8 [H, W, 3]."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5, 4), layout="tight")
  canvas = FigureCanvasAgg(figure)
  axes = figure.subplots()
  points = sorted((row["bpp"], row["psnr_db"]) for row in rows)
  axes.plot(*zip(*points), "o-")
  axes.set(
    xlabel="bpp", ylabel="PSNR (dB)",
    title=f"{rows[0]['stage']}, step {rows[0]['step']}",
  )  # fmt: skip
  axes.grid(True)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3]
