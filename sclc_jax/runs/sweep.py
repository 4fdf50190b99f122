"""Sweeps: the points of a study, each trained, exported and measured alike."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from sclc_jax.config import ExperimentConfig
from sclc_jax.evaluation import measure as ev
from sclc_jax.evaluation.curves import METRICS
from sclc_jax.metrics import bd_rate
from sclc_jax.runs import experiment


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


def run_point(
  config: ExperimentConfig,
  workdir: str | os.PathLike,
  images: str | os.PathLike,
  qualities: Sequence[float],
  quiet: bool = False,
) -> None:
  """Trains a point, or resumes it, and writes model.sclcm and rd.csv.

  A point whose rd.csv exists is left as it is.

  Raises:
    ValueError: SIGTERM has ended the training before its last step.
  """
  import jax

  from sclc_jax.codec.codec import Codec
  from sclc_jax.codec.model.model_file import save_model
  from sclc_jax.export.freeze import freeze
  from sclc_jax.images import find_images
  from sclc_jax.train.stages import stages

  workdir = pathlib.Path(workdir)
  if (workdir / "rd.csv").exists():
    return
  step, last = experiment.run(config, workdir, quiet=quiet), stages(config)[-1]
  if step < last.stop:
    raise ValueError(
      f"{workdir} was stopped at step {step} of {last.stop}; the same command "
      "resumes it."
    )
  model = freeze(*experiment.load_checkpoint(workdir))
  save_model(model, workdir / "model.sclcm")
  rows = ev.evaluate(Codec(model), find_images(images), qualities, quiet)
  ev.write_csv(rows, workdir / "rd.csv")
  # With JAX 0.12 the step of a stage maps 1,200 pieces of memory for its code,
  # and keeps them. Linux allows 65,530 a process: 14 points of four stages.
  jax.clear_caches()


def summarise(names: Sequence[str], workdir: str | os.PathLike) -> str:
  """Compares the points that are done: summary.csv and rd.png.

  Returns:
    The table: for each point its BD-rate against the first of `names` (%; less
    is better; nan where the curves do not overlap, or while the first point is
    not done), and at its middle quality bpp, PSNR and the selected fraction.
  """
  from sclc_jax.evaluation.plots import plot_rd

  workdir = pathlib.Path(workdir)
  middles, curves = {}, {}
  for name in names:
    path = workdir / name / "rd.csv"
    if not path.exists():
      continue
    with path.open() as file:
      means = [row for row in csv.DictReader(file) if row["image"] == "MEAN"]
    curves[name] = tuple(
      np.array([float(row[key]) for row in means]) for key in ("bpp", "psnr_db")
    )
    middle = means[len(means) // 2]
    middles[name] = {
      key: float(middle[key])
      for key in ("quality", "bpp", "psnr_db", "selected_fraction")
    }
  if not curves:
    return "no point is done yet"
  anchor = curves.get(names[0])
  rows = [
    {
      "point": name,
      "bd_rate_percent": bd_rate(*anchor, *curve) if anchor else float("nan"),
      **middles[name],
    }
    for name, curve in curves.items()
  ]
  ev.write_csv(rows, workdir / "summary.csv", list(rows[0]))
  plot_rd(curves, METRICS["psnr_db"], workdir / "rd.png")
  width = max(len(row["point"]) for row in rows)
  lines = [
    f"{'point':<{width}}  bd_rate_%  quality      bpp  psnr_db  selected"
  ]
  lines += [
    f"{row['point']:<{width}}  {row['bd_rate_percent']:+9.2f}  "
    f"{row['quality']:7g}  {row['bpp']:7.4f}  {row['psnr_db']:7.3f}  "
    f"{row['selected_fraction']:8.4f}"
    for row in rows
  ]
  if anchor is None:
    lines.append(f"no BD-rates: the first point, {names[0]}, is not done yet")
  return "\n".join(lines)
