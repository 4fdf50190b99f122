"""`sclc evaluate`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from sclc_jax.buckets import to_path
from sclc_jax.commands.checks import (
  check_package,
  input_file,
  input_folder,
  output_file,
  output_folder,
)
from sclc_jax.commands.common import (
  QUALITIES,
  Add,
  Failure,
  coding_flags,
  effort_flag,
  expected,
  fast_flag,
  hides_bars,
  note,
  open_codec,
  quality_flag,
  report,
  result,
  tell_notes,
  versions,
)
from sclc_jax.commands.jobs import find_sources
from sclc_jax.commands.streams import printable, tell
from sclc_jax.formats import SUFFIXES


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  evaluate = add("evaluate", _evaluate, "rate and distortion over a folder",
                 _check)  # fmt: skip
  coding_flags(evaluate)
  effort_flag(evaluate)
  fast_flag(evaluate)
  evaluate.add_argument(
    "--images", required=True, help="folder of photos, with its subfolders"
  )
  quality_flag(evaluate)
  evaluate.add_argument("--csv", help="write all rows to this file")
  evaluate.add_argument(
    "--json", help="write the means as CompressAI's plot script reads them"
  )
  evaluate.add_argument("--plot", help="write a plot of PSNR over rate (PNG)")
  evaluate.add_argument(
    "--anchors", nargs="+", default=[],
    help="CSV files of other codecs' curves to compare with, or CompressAI's "
    "JSON files",
  )  # fmt: skip
  evaluate.add_argument(
    "--perceptual", action="store_true",
    help="measure SSIMULACRA2 too, as one more column (pip install "
    "ssimulacra2)",
  )  # fmt: skip
  evaluate.add_argument(
    "--compare", nargs="+", default=[], metavar="MODEL",
    help="further models to measure and compare with",
  )  # fmt: skip
  evaluate.add_argument(
    "--report", metavar="DIR",
    help="write report.md, figures and tables to this folder; measures JPEG, "
    "WebP, AVIF and JPEG XL too, as far as they are installed",
  )  # fmt: skip


def _check(args) -> None:
  if args.perceptual:
    check_package("--perceptual", "ssimulacra2")
  input_folder("--images", args.images)
  for path in args.anchors:
    input_file("--anchors", path)
  args.paths = [
    source.path for source in find_sources(args, [args.images], SUFFIXES)
  ]
  if not args.paths:
    raise Failure
  inputs = [*args.paths, *args.anchors, *filter(None, [args.model])]
  for flag in ("--csv", "--json", "--plot"):
    path = getattr(args, flag[2:])
    if path is not None:
      output_file(flag, path, inputs)
  if args.report is not None:
    output_folder("--report", args.report)


def _readable(args) -> Iterator[pathlib.Path]:
  """Those of the images that can be read; the others are reported.

  Each is decoded for that, so that what is measured is of the same images
  throughout.
  """
  import concurrent.futures

  from sclc_jax.cpus import cpu_count
  from sclc_jax.images import load_image

  def problem(path: pathlib.Path) -> Exception | None:
    try:
      load_image(path, args.max_pixels)
    except Exception as error:
      if not expected(error):
        raise
      return error
    return None

  with concurrent.futures.ThreadPoolExecutor(cpu_count()) as pool:
    for path, error in zip(args.paths, pool.map(problem, args.paths)):
      if error is None:
        yield path
      else:
        report(args, error, str(path))


def _images(args) -> list[pathlib.Path]:
  """Those that can be measured; Failure where there is none."""
  paths = list(_readable(args))
  if not paths:
    raise Failure
  if len(paths) < len(args.paths):
    note(
      args,
      f"{len(args.paths) - len(paths)} of {len(args.paths)} images cannot be "
      f"measured; rows and MEAN are over the other {len(paths)}.",
    )
  return paths


def _open_codecs(args) -> dict:
  """--model and those of --compare, by their names."""
  from sclc_jax.codec.latents.quality import check_quality
  from sclc_jax.codec.model.shipped import DEFAULT_MODEL

  codecs = {}
  for model in (args.model or DEFAULT_MODEL, *args.compare):
    args.model = model
    name = printable(pathlib.Path(model).stem)
    codecs[_unused(name, codecs)] = codec = open_codec(args)
    for quality in args.quality:
      check_quality(quality, codec.model.top_quality)
  return codecs


def _evaluate(args) -> None:
  from sclc_jax.evaluation import curves as cv
  from sclc_jax.evaluation import measure as ev
  from sclc_jax.evaluation import peers as pr
  from sclc_jax.evaluation import report as rp

  scores = {}
  if args.perceptual:
    from sclc_jax.evaluation.perceptual import ssimulacra2

    scores["ssimulacra2"] = ssimulacra2
  anchors = {}
  for path in args.anchors:
    anchors |= cv.read_anchors(path)
  tell_notes(args)
  paths = _images(args)
  codecs, quiet = _open_codecs(args), hides_bars(args)
  systems = [
    rp.System(
      name, codec,
      ev.evaluate(codec, paths, args.quality, quiet, name, scores),
    )
    for name, codec in codecs.items()
  ]  # fmt: skip
  for system in systems:
    if len(systems) > 1:
      tell(f"model\t{system.name}")
    tell(system.evaluation.table())
  if args.csv:
    systems[0].evaluation.write_csv(args.csv)
  if args.json:
    systems[0].evaluation.write_json(
      args.json, systems[0].name, f"sclc_jax, {len(paths)} images"
    )

  wanted = pr.PEERS if args.report else (pr.JPEG,)
  peers = [peer for peer in wanted if peer.installed()]
  left_out = [
    f"{peer.name} is left out, as it is not installed ({peer.remedy})."
    for peer in wanted
    if peer not in peers
  ]
  out = to_path(args.report) if args.report else None
  if out:
    out.mkdir(parents=True, exist_ok=True)
  peer_rows = pr.measure_peers(
    peers, paths, out and out / "peers.csv", quiet, args.max_pixels, scores
  )
  others = pr.peer_curves(peer_rows) | anchors
  compared = {s.name: s.curve for s in systems[1:]} | others
  _compare(args, systems, compared)
  for line in left_out:
    tell(line)
  if args.plot:
    _plot(systems[0].curve, compared, args.plot)
  if out:
    files = rp.write_report(
      out, _command(args, list(codecs)), systems, peer_rows, others,
      left_out, paths, versions(),
    )  # fmt: skip
    for file in files:
      result(file)


def _compare(args, systems, compared) -> None:
  """Prints rates against the other curves, and what selection saves."""
  from sclc_jax.evaluation import curves as cv
  from sclc_jax.evaluation import report as rp

  ours = systems[0].curve
  for key, metric in cv.METRICS.items():
    for name, curve in compared.items():
      if ours.points(key) and curve.points(key):
        rate = cv.bd_rate(curve, ours, key)
        tell(f"{metric.bd_rate}\t{rate:+.2f}\t{name}")
  for other in systems[1:]:
    saved = rp.selection_saves(systems[0], other)
    if saved is not None:
      tell(f"selection_percent\t{saved:+.2f}\t{other.name}")
  if len(args.quality) > 1:
    tell(rp.rising_line(systems[0].evaluation))


def _plot(ours, compared, path: str) -> None:
  from sclc_jax.evaluation.curves import METRICS
  from sclc_jax.evaluation.plots import plot_rd

  shown = {"sclc": ours} | compared
  points = {name: curve.points("psnr_db") for name, curve in shown.items()}
  points["sclc"] = ours.bpp, ours.values["psnr_db"]
  label = METRICS["psnr_db"].label
  plot_rd({n: p for n, p in points.items() if p}, label, path)


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
  if args.perceptual:
    parts.append("--perceptual")
  parts.append(f"--report {pathlib.Path(args.report).resolve().name}")
  return " ".join(parts)


def _as_given(qualities: list[float]) -> str:
  """Qualities as `--quality` takes them; a range where they are one."""
  import numpy as np

  steps = np.diff(qualities)
  if len(steps) > 1 and steps[0] > 0 and np.allclose(steps, steps[0]):
    return f"{qualities[0]:g}:{qualities[-1]:g}:{steps[0]:g}"
  return " ".join(f"{quality:g}" for quality in qualities)
