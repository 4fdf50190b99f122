"""`sclc data`."""

from __future__ import annotations

import glob
import json
import secrets
import tempfile

from sclc_jax.commands.checks import check_package, output_folder
from sclc_jax.commands.common import Add, hides_bars, note, result
from sclc_jax.cpus import cpu_count
from sclc_jax.files import (
  absolute,
  is_folder,
  is_there,
  matches,
  move_folder,
  read_whole,
  remove_folder,
)
from sclc_jax.formats import MAX_PIXELS


def register(add: Add) -> None:
  """Adds the command to the command line."""
  data = add("data", _data, "pack pictures as a training set", _check)
  data.add_argument(
    "inputs", nargs="+", metavar="SOURCE", help="files, folders or patterns (*)"
  )
  data.add_argument(
    "-o", "--output", required=True, metavar="DIR",
    help="new folder: shards for --config.data.source=tfds:DIR, held-out "
    "pictures, left_out.csv and summary.json",
  )  # fmt: skip
  data.add_argument(
    "--min-side", type=int, default=256,
    help="leave out pictures with a side shorter than so many pixels",
  )  # fmt: skip
  data.add_argument(
    "--keep-gray", action="store_true", help="take gray pictures as well"
  )
  data.add_argument(
    "--shorter-side", type=int, default=0, metavar="S",
    help="scale pictures down where their shorter side has more than S "
    "pixels; 0 stores all files as they are",
  )  # fmt: skip
  data.add_argument(
    "--held-out", type=float, default=0.01, metavar="FRACTION",
    help="put this fraction into DIR/held_out, to evaluate on; the pixels of a "
    "picture alone decide whether it belongs to it",
  )  # fmt: skip
  data.add_argument(
    "--max-pixels", type=int, default=MAX_PIXELS,
    help="leave out pictures of more pixels",
  )  # fmt: skip
  data.add_argument(
    "--runner", default="local",
    help="where to run: local, or a runner of Apache Beam (DataflowRunner, "
    "FlinkRunner, SparkRunner, ...)",
  )  # fmt: skip
  data.epilog = "What follows a -- goes to Apache Beam: -- --project=P ..."


def _check(args) -> None:
  check_package("sclc data", "apache_beam", "'sclc_jax[beam]'")
  for source in args.inputs:
    if is_there(source) or is_folder(source):
      continue
    if not (glob.has_magic(source) and matches(source)):
      raise ValueError(
        f"there is no {source or 'input of an empty name'}; give files or "
        "folders that exist, or a pattern as 'folder/*.jpg'."
      )
  if is_there(args.output) or is_folder(args.output):
    raise ValueError(
      f"-o {args.output} exists already; remove it, or name a new folder."
    )
  output_folder("-o", args.output)


def _data(args) -> None:
  from sclc_jax.beam import prepare
  from sclc_jax.beam.running import LOCAL, Ticks, run, showing

  rules = prepare.Rules(
    args.min_side, args.keep_gray, args.shorter_side, args.held_out,
    args.max_pixels,
  )  # fmt: skip
  target = absolute(args.output)
  # Beside it, for other machines to see and for the last move.
  folder = target.parent / f".sclc-{secrets.token_hex(8)}"
  folder.mkdir(parents=True)
  is_local = args.runner == LOCAL
  try:
    with tempfile.TemporaryDirectory() as counts:
      ticks = counts if is_local else ""
      with showing(Ticks(ticks), "examined", hides_bars(args) or not is_local):
        run(
          lambda pipeline: prepare.build(
            pipeline, args.inputs, str(folder), rules, ticks
          ),
          args.runner, args.options, cpu_count(),
        )  # fmt: skip
    summary = json.loads(read_whole(folder / prepare.SUMMARY))
    if not summary["pictures"]:
      raise ValueError(
        f"no picture is left to train on ({_left_out(summary)}); give more "
        "sources, or a lower --min-side or --held-out."
      )
    remove_folder(folder / prepare.SCALED)
    move_folder(folder, target)
  finally:
    remove_folder(folder)
  _tell(args, summary)


def _left_out(summary: dict) -> str:
  counts = [f"{n} {reason}" for reason, n in summary["left_out"].items()]
  return f"left out: {', '.join(counts) or 'none'}"


def _tell(args, summary: dict) -> None:
  pictures, shards = summary["pictures"], summary["shards"]
  result(
    args.output,
    f"{pictures} pictures\t{summary['megapixels']} MP\t{summary['bytes']} "
    f"bytes\t{shards} shards\t{summary['held_out']} held out",
  )
  if not args.quiet:
    note(args, f"{_left_out(summary)} (left_out.csv in it names them)")
    note(args, f"train with --config.data.source=tfds:{args.output}")
