"""`sclc sweep`."""

from __future__ import annotations

from sclc_jax import files
from sclc_jax.buckets import to_path
from sclc_jax.commands.checks import images_in, output_folder
from sclc_jax.commands.common import Add, quality_flag
from sclc_jax.commands.train import OVERRIDES

_SWEEP = "name of a sweep (paper_ablation, bases, ...), or a config file"


def register(add: Add) -> None:
  """Adds the command to the command line."""
  sweep = add("sweep", _sweep, "train and compare the points of a sweep",
              _check_sweep)  # fmt: skip
  sweep.add_argument("config", help=_SWEEP)
  sweep.add_argument(
    "--workdir", default="runs/sweep", help="gets one folder for each point"
  )
  sweep.add_argument(
    "--list", action="store_true", help="only list the points (configs)"
  )
  which = sweep.add_mutually_exclusive_group()
  which.add_argument(
    "--index", type=int, help="run only the point of this number, from 0"
  )
  which.add_argument(
    "--point", metavar="NAME", help="run only the point of this name"
  )
  sweep.add_argument("--images", help="folder to compare the points on")
  quality_flag(sweep)
  sweep.epilog = OVERRIDES


def _check_sweep(args) -> None:
  from sclc_jax.runs import recipes

  recipes.find(args.config, recipes.SWEEPS)
  if not args.list:
    output_folder("--workdir", args.workdir)


def _sweep(args) -> None:
  from sclc_jax.runs import sweep

  points = sweep.load_sweep(args.config, args.overrides)
  if args.list:
    for index, name in enumerate(points):
      print(f"{index}\t{name}")
    return
  chosen = _chosen_points(args, list(points))
  if not (args.images and files.is_folder(args.images)):
    raise ValueError(
      f"--images {args.images} is not a folder; the points are compared on it."
    )
  paths = images_in("--images", args.images)
  wanted = sweep.measurements(points, args.quality, paths)
  workdir = to_path(args.workdir)
  for name in chosen:
    sweep.run_point(wanted[name], workdir / name, paths, args.quiet)
  print(sweep.summarise(wanted, workdir))


def _chosen_points(args, names: list[str]) -> list[str]:
  """The points to run: all, or that of --index or --point."""
  if args.point is not None:
    if args.point not in names:
      raise ValueError(
        f"--point {args.point} is none of {', '.join(names)}; --list shows "
        "the points."
      )
    return [args.point]
  if args.index is None:
    return names
  if not 0 <= args.index < len(names):
    raise ValueError(
      f"--index must lie in [0, {len(names) - 1}], got {args.index}; --list "
      "shows the points."
    )
  return [names[args.index]]
