"""`sclc evaluate`."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from sclc_jax.commands.common import (
  QUALITIES,
  Add,
  coding_flags,
  effort_flag,
  open_codec,
  quality_flag,
  versions,
  walk,
)


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  evaluate = add("evaluate", _evaluate, "rate and distortion over a folder")
  coding_flags(evaluate)
  effort_flag(evaluate)
  evaluate.add_argument("--images", required=True, help="folder")
  quality_flag(evaluate)
  evaluate.add_argument("--csv", help="write all rows")
  evaluate.add_argument("--plot", help="write an RD plot (PNG)")
  evaluate.add_argument(
    "--anchors", nargs="+", default=[], help="CSV files of other curves"
  )
  evaluate.add_argument(
    "--compare", nargs="+", default=[], metavar="MODEL",
    help="further models, as curves",
  )  # fmt: skip
  evaluate.add_argument(
    "--report", metavar="DIR",
    help="write report.md, figures and tables, with every installed codec",
  )  # fmt: skip


def _evaluate(args) -> None:
  from sclc_jax.codec.model.shipped import DEFAULT_MODEL
  from sclc_jax.evaluation import curves as cv
  from sclc_jax.evaluation import measure as ev
  from sclc_jax.evaluation import peers as pr
  from sclc_jax.evaluation import report as rp
  from sclc_jax.images import SUFFIXES

  if not pathlib.Path(args.images).is_dir():
    raise ValueError(f"--images {args.images} is not a folder.")
  paths = walk([args.images], SUFFIXES)
  for path in (args.csv, args.plot, args.report):
    if path and not os.access(pathlib.Path(path).absolute().parent, os.W_OK):
      raise ValueError(f"cannot write {path}; its folder must exist.")
  if args.report and pathlib.Path(args.report).is_file():
    raise ValueError(f"--report {args.report} is a file; name a folder.")
  anchors = {}
  for path in args.anchors:
    anchors |= cv.read_anchors(path)
  codecs = {}
  for model in (args.model or DEFAULT_MODEL, *args.compare):
    args.model = model
    codecs[_unused(pathlib.Path(model).stem, codecs)] = open_codec(args)
  for codec in codecs.values():
    for quality in args.quality:
      codec.to_q(quality)

  systems = [
    rp.System(name, codec, ev.evaluate(codec, paths, args.quality,
                                       args.quiet, name))
    for name, codec in codecs.items()
  ]  # fmt: skip
  for system in systems:
    if len(systems) > 1:
      print(f"model\t{system.name}")
    print(ev.format_table(system.rows))
  if args.csv:
    ev.write_csv(systems[0].rows, args.csv)

  wanted = pr.PEERS if args.report else (pr.JPEG,)
  peers = [peer for peer in wanted if peer.installed()]
  left_out = [
    f"{peer.name} is left out, as it is not installed ({peer.remedy})."
    for peer in wanted
    if peer not in peers
  ]
  out = pathlib.Path(args.report) if args.report else None
  if out:
    out.mkdir(exist_ok=True)
  peer_rows = pr.measure_peers(
    peers, paths, out and out / "peers.csv", args.quiet, args.max_pixels
  )
  others = pr.peer_curves(peer_rows) | anchors
  ours = systems[0].curve
  compared = {s.name: s.curve for s in systems[1:]} | others
  for metric, key in (("psnr_db", "bd_rate_percent"),
                      ("ms_ssim_db", "bd_rate_ms_ssim_percent")):  # fmt: skip
    for name, curve in compared.items():
      if ours.points(metric) and curve.points(metric):
        print(f"{key}\t{cv.bd_rate(curve, ours, metric):+.2f}\t{name}")
  for other in systems[1:]:
    saved = rp.selection_saves(systems[0], other)
    if saved is not None:
      print(f"selection_percent\t{saved:+.2f}\t{other.name}")
  if len(args.quality) > 1:
    print(rp.rising_line(systems[0].rows))
  for line in left_out:
    print(line)
  if args.plot:
    from sclc_jax.evaluation.plots import plot_rd

    shown = {"sclc": ours} | compared
    points = {name: curve.points("psnr_db") for name, curve in shown.items()}
    points["sclc"] = ours.bpp, ours.psnr_db
    plot_rd(
      {name: p for name, p in points.items() if p},
      cv.METRICS["psnr_db"],
      args.plot,
    )
  if out:
    files = rp.write_report(
      out, _command(args, list(codecs)), systems, peer_rows, others,
      left_out, paths, versions(),
    )  # fmt: skip
    for file in files:
      print(file)


def _unused(name: str, taken) -> str:
  """The name, or name-2, name-3, ..."""
  number, free = 1, name
  while free in taken:
    number += 1
    free = f"{name}-{number}"
  return free


def _command(args, names: list[str]) -> str:
  """The command without the folders of this machine."""
  parts = ["sclc evaluate", f"--model {names[0]}"]
  parts.append(f"--images {pathlib.Path(args.images).resolve().name.upper()}")
  if args.quality != list(QUALITIES):
    parts.append(f"--quality {_as_given(args.quality)}")
  if args.effort:
    parts.append(f"--effort {args.effort}")
  if args.anchors:
    files = (pathlib.Path(path).name for path in args.anchors)
    parts.append(f"--anchors {' '.join(files)}")
  if args.compare:
    parts.append(f"--compare {' '.join(names[1:])}")
  parts.append(f"--report {pathlib.Path(args.report).resolve().name}")
  return " ".join(parts)


def _as_given(qualities: list[float]) -> str:
  """Qualities as `--quality` takes them; a range where they are one."""
  steps = np.diff(qualities)
  if len(steps) > 1 and steps[0] > 0 and np.allclose(steps, steps[0]):
    return f"{qualities[0]:g}:{qualities[-1]:g}:{steps[0]:g}"
  return " ".join(f"{quality:g}" for quality in qualities)
