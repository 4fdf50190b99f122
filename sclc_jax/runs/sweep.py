"""Sweeps: the points of a study, each trained, exported and measured alike."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sclc_jax.buckets import Path, to_path
from sclc_jax.config import ExperimentConfig, differences, from_dict
from sclc_jax.evaluation import measure as ev
from sclc_jax.evaluation.curves import METRICS
from sclc_jax.files import is_there, open_text, read_whole, write_whole
from sclc_jax.metrics import bd_rate
from sclc_jax.runs import experiment

_RECORD = "measured.json"


def load_sweep(
  path: str | os.PathLike, overrides: Sequence[str] = ()
) -> dict[str, ExperimentConfig]:
  """Points of a sweep file: its `get_sweep()` returns {name: ConfigDict}.

  The first point is what the others are compared with. Overrides hold for
  every point.
  """
  points = experiment.call_in_file(path, "get_sweep")
  if not points:
    raise ValueError(f"sweep {path} has no points.")
  return {
    name: experiment.override(config, overrides)
    for name, config in points.items()
  }


@dataclasses.dataclass(frozen=True)
class Measurement:
  """What the rows of a point were measured with; `measured.json` holds it.

  Attributes:
    config: of the training.
    qualities: of the rows.
    images: checksum of each image file, by its name.
  """

  config: ExperimentConfig
  qualities: tuple[float, ...]
  images: dict[str, str]

  @classmethod
  def read(cls, workdir: Path) -> Measurement | None:
    """That of a point's folder, None where nothing is measured."""
    if not all(is_there(workdir / name) for name in (_RECORD, "rd.csv")):
      return None
    values = json.loads(read_whole(workdir / _RECORD))
    config = from_dict(values["config"])
    return cls(config, tuple(values["qualities"]), values["images"])

  def write(self, workdir: Path, model: bytes) -> None:
    """Records it, and the fingerprint of the model that was measured."""
    values = {**dataclasses.asdict(self), "model": model.hex()}
    write_whole(workdir / _RECORD, json.dumps(values, indent=1).encode())

  def differences(self, other: Measurement) -> list[str]:
    """What `other` has otherwise, in words."""
    differing = differences(self.config, other.config)
    if self.qualities != other.qualities:
      old, new = (
        " ".join(f"{quality:g}" for quality in each.qualities)
        for each in (self, other)
      )
      differing.append(f"qualities {old} instead of {new}")
    names = {
      name
      for name in {**self.images, **other.images}
      if self.images.get(name) != other.images.get(name)
    }
    if names:
      differing.append(f"other images ({min(names)} is one of {len(names)})")
    return differing


def measurements(
  points: Mapping[str, ExperimentConfig],
  qualities: Sequence[float],
  paths: Sequence[Path],
) -> dict[str, Measurement]:
  """What is wanted of each point: rows of these qualities and images."""
  digests = (hashlib.sha256(read_whole(path)).hexdigest() for path in paths)
  images = dict(zip(ev.image_names(paths), digests))
  qualities = tuple(map(float, qualities))
  return {
    name: Measurement(config, qualities, images)
    for name, config in points.items()
  }


def run_point(
  wanted: Measurement,
  workdir: str | os.PathLike,
  paths: Sequence[Path],
  quiet: bool = False,
) -> None:
  """Trains a point, or resumes it, and writes model.sclcm and rd.csv.

  A point that was measured as wanted is left as it is. One that was measured on
  other images or qualities is measured again, not trained again.

  Args:
    wanted: what its rows are to be measured with.
    workdir: of the point.
    paths: of the images.
    quiet: no progress bars.

  Raises:
    ValueError: SIGTERM has ended the training before its last step, or the
      folder holds a point of another config.
  """
  from sclc_jax.codec.codec import Codec
  from sclc_jax.codec.model.model_file import save_model
  from sclc_jax.export.freeze import freeze

  workdir, config = to_path(workdir), wanted.config
  measured = Measurement.read(workdir)
  if measured == wanted:
    return
  if measured is None or measured.config != config:
    _train(config, workdir, quiet)
  model = freeze(*experiment.load_checkpoint(workdir))
  save_model(model, workdir / "model.sclcm")
  measured = ev.evaluate(Codec(model), paths, wanted.qualities, quiet)
  (workdir / _RECORD).unlink(missing_ok=True)  # never beside rows of others
  measured.write_csv(workdir / "rd.csv")
  wanted.write(workdir, model.fingerprint)


def _train(
  config: ExperimentConfig, workdir: Path, quiet: bool
) -> None:
  import jax

  from sclc_jax.train.stages import stages

  step, last = experiment.run(config, workdir, quiet=quiet), stages(config)[-1]
  if step < last.stop:
    raise ValueError(
      f"{workdir} was stopped at step {step} of {last.stop}; the same command "
      "resumes it."
    )
  # With JAX 0.12 the step of a stage maps 1,200 pieces of memory for its code,
  # and keeps them. Linux allows 65,530 a process: 14 points of four stages.
  jax.clear_caches()


def summarise(
  wanted: Mapping[str, Measurement], workdir: str | os.PathLike
) -> str:
  """Compares the points that are measured as wanted: summary.csv and rd.png.

  Returns:
    The table: for each point its BD-rate against the first of `wanted` (%;
    less is better; nan where the curves do not overlap, or while the first
    point is not done), and at its middle quality bpp, PSNR and the selected
    fraction. Then a line for each point that was measured otherwise.
  """
  workdir = to_path(workdir)
  text, known = "", None
  # Another task of an array may be done meanwhile, and its table is then older.
  while known != (measured := _measured(wanted, workdir)):
    text, known = _summarise(wanted, measured, workdir), measured
  return text


def _measured(names: Iterable[str], workdir: Path) -> dict[str, Measurement]:
  """What the points were measured with that are done."""
  read = {name: Measurement.read(workdir / name) for name in names}
  return {name: each for name, each in read.items() if each is not None}


def _summarise(
  wanted: Mapping[str, Measurement],
  measured: Mapping[str, Measurement],
  workdir: Path,
) -> str:
  """Writes the table of what is measured; returns it as text."""
  from sclc_jax.evaluation.plots import plot_rd

  middles, curves, notes = {}, {}, []
  for name, point in measured.items():
    if point != wanted[name]:
      differing = "; ".join(point.differences(wanted[name]))
      notes.append(f"left out: {name}, which has {differing}")
      continue
    middles[name], curves[name] = _means(workdir / name / "rd.csv")
  if not curves:
    return "\n".join(["no point is done yet", *notes])
  first = next(iter(wanted))
  if first not in curves:
    notes.append(f"no BD-rates: the first point, {first}, is not done yet")
  rows = [
    {
      "point": name,
      "bd_rate_percent": bd_rate(*curves[first], *curve)
      if first in curves
      else float("nan"),
      **middles[name],
    }
    for name, curve in curves.items()
  ]
  ev.write_csv(rows, workdir / "summary.csv", list(rows[0]))
  plot_rd(curves, METRICS["psnr_db"].label, workdir / "rd.png")
  return "\n".join([*_table(rows), *notes])


def _means(path: Path) -> tuple[dict[str, float], tuple]:
  """(the middle quality's row, (bpp, dB) of all) of an rd.csv's means."""
  with open_text(path) as file:
    means = [row for row in csv.DictReader(file) if row["image"] == "MEAN"]
  middle = means[len(means) // 2]
  keys = ("quality", "bpp", "psnr_db", "selected_fraction")
  curve = tuple(
    np.array([float(row[key]) for row in means]) for key in ("bpp", "psnr_db")
  )
  return {key: float(middle[key]) for key in keys}, curve


def _table(rows: list[dict]) -> list[str]:
  width = max(len(row["point"]) for row in rows)
  lines = [
    f"{'point':<{width}}  bd_rate_%  quality      bpp  psnr_db  selected"
  ]
  return lines + [
    f"{row['point']:<{width}}  {row['bd_rate_percent']:+9.2f}  "
    f"{row['quality']:7g}  {row['bpp']:7.4f}  {row['psnr_db']:7.3f}  "
    f"{row['selected_fraction']:8.4f}"
    for row in rows
  ]
