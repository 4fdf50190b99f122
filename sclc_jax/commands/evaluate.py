"""`sclc evaluate`."""

from __future__ import annotations

import os
import pathlib

from sclc_jax.commands.common import Add, coding_flags, open_codec, walk


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  evaluate = add("evaluate", _evaluate, "rate and distortion over a folder")
  coding_flags(evaluate)
  evaluate.add_argument("--images", required=True, help="folder")
  evaluate.add_argument(
    "--quality", type=float, nargs="+", default=[1, 2, 3, 4, 5, 6, 7, 8],
    help="qualities",
  )  # fmt: skip
  evaluate.add_argument("--csv", help="write all rows")
  evaluate.add_argument("--plot", help="write an RD plot (PNG)")
  evaluate.add_argument(
    "--anchors", nargs="+", default=[], help="CSV files of other curves"
  )


def _evaluate(args) -> None:
  from sclc_jax import evaluate as ev
  from sclc_jax.codec.images import SUFFIXES
  from sclc_jax.metrics import bd_rate

  if not pathlib.Path(args.images).is_dir():
    raise ValueError(f"--images {args.images} is not a folder.")
  paths = walk([args.images], SUFFIXES)
  for path in (args.csv, args.plot):
    if path and not os.access(pathlib.Path(path).absolute().parent, os.W_OK):
      raise ValueError(f"cannot write {path}; its folder must exist.")
  anchors = {}
  for path in args.anchors:
    anchors |= ev.read_anchors(path)
  codec = open_codec(args)
  for quality in args.quality:
    codec.quality_step(quality)
  rows = ev.evaluate(codec, paths, args.quality, args.quiet)
  print(ev.format_table(rows))
  if args.csv:
    ev.write_csv(rows, args.csv)
  ours = ev.mean_curve(rows)
  curves = {"jpeg (Pillow, 4:2:0, here)": ev.jpeg_curve(paths), **anchors}
  if len(args.quality) >= 3:
    for name, curve in curves.items():
      print(f"bd_rate_percent\t{bd_rate(*curve, *ours):+.2f}\t{name}")
  if args.plot:
    from sclc_jax.plots import plot_rd

    plot_rd({"sclc": ours, **curves}, args.plot)
