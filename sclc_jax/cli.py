"""The command `sclc`: parses and calls."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Callable

from sclc_jax import __version__

MAX_PIXELS = 250_000_000


class Failure(Exception):
  """Some inputs failed; each has been reported."""


def main(argv: list[str] | None = None) -> int:
  """Runs a command; returns 0 on success, 1 on failure, 2 on wrong usage."""
  args = _parser().parse_args(argv)
  if args.version:
    print(_versions())
    return 0
  if args.command is None:
    _parser().print_help(sys.stderr)
    return 2
  try:
    _set_up(args)
    args.run(args)
  except Failure:
    return 1
  except (ValueError, OSError) as error:
    _report(args, error)
    return 1
  except KeyboardInterrupt:
    print(f"sclc {args.command}: interrupted", file=sys.stderr)
    return 130
  return 0


def _report(args, error: Exception, name: str = "") -> None:
  text = " ".join(str(error).split())
  if name and name not in text:
    text = f"{name}: {text}"
  print(f"sclc {args.command}: error: {text}", file=sys.stderr)


def _set_up(args) -> None:
  threads = getattr(args, "threads", None)
  if threads is not None:
    if threads < 1:
      raise ValueError(f"--threads must be at least 1, got {threads}.")
    if hasattr(os, "sched_setaffinity"):
      cpus = sorted(os.sched_getaffinity(0))[:threads]
      os.sched_setaffinity(0, cpus)  # XLA makes a thread a CPU
  device = getattr(args, "device", None)
  if device:
    import jax

    platform = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}[device]
    jax.config.update("jax_platforms", platform)
    try:
      jax.devices()
    except RuntimeError as error:
      raise ValueError(
        f"there is no {device} here ({error}); use --device cpu."
      ) from None


def _versions() -> str:
  import importlib.metadata

  names = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "numba",
           "tensorflow-compression")  # fmt: skip
  lines = [f"sclc_jax {__version__}", f"python {sys.version.split()[0]}"]
  for name in names:
    try:
      lines.append(f"{name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
      lines.append(f"{name} not installed")
  return "\n".join(lines)


def _codec(args):
  from sclc_jax.codec.codec import load_codec

  return load_codec(args.model, engine=args.engine, max_pixels=args.max_pixels)


def _walk(inputs: list[str], suffixes) -> list[pathlib.Path]:
  found = []
  for name in inputs:
    path = pathlib.Path(name)
    if not path.is_dir():
      found.append(path)
      continue
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes)
    if not files:
      raise ValueError(
        f"the folder {path} holds no file that ends in "
        f"{', '.join(sorted(suffixes))}."
      )
    found += files
  return found


def _outputs(
  args, inputs: list[pathlib.Path], suffix: str
) -> list[pathlib.Path]:
  """Output paths; derived names are made by replacing the last extension."""
  out = pathlib.Path(args.output) if args.output else None
  if out is not None and len(inputs) == 1 and not out.is_dir():
    return [out]
  if out is not None and not out.is_dir():
    if out.exists():
      raise ValueError(f"-o {out} is a file, but there are several inputs.")
    out.mkdir(parents=True)
  return [(out or p.parent) / (p.stem + suffix) for p in inputs]


def _convert(
  args, inputs, suffix: str, convert: Callable[[bytes, str], bytes]
) -> None:
  """Runs `convert` on each input; one failure does not stop the others."""
  from sclc_jax.codec.images import write_whole

  if args.inputs == ["-"]:
    data = convert(sys.stdin.buffer.read(), "stdin")
    if args.output in (None, "-"):
      sys.stdout.buffer.write(data)
    else:
      write_whole(args.output, data)
    return
  if args.output == "-":
    if len(inputs) != 1:
      raise ValueError("-o - takes a single input.")
    sys.stdout.buffer.write(convert(inputs[0].read_bytes(), str(inputs[0])))
    return
  outputs = _outputs(args, inputs, suffix)
  derived = (
    args.output is None
    or len(inputs) > 1
    or (pathlib.Path(args.output).is_dir())
  )
  failed, written = 0, set()
  for source, target in zip(inputs, outputs):
    try:
      if derived and not args.force and (target in written or target.exists()):
        raise ValueError(
          f"{target} exists already; remove it, name another output with -o, "
          "or replace it with --force."
        )
      data = convert(source.read_bytes(), str(source))
      write_whole(target, data)
      written.add(target)
      print(f"{target}\t{len(data)} bytes")
    except OSError as error:
      failed += 1
      reason = error.strerror or error
      _report(args, ValueError(f"cannot read {source}: {reason}."))
    except ValueError as error:
      failed += 1
      _report(args, error, str(source))
  if failed:
    raise Failure


def _target_flag(kind: str) -> str:
  return kind if kind.startswith("max") else f"target_{kind}"


def _compress(args) -> None:
  from sclc_jax.codec.images import SUFFIXES, load_image
  from sclc_jax.codec.rate_control import KINDS, compress_to

  inputs = _walk(args.inputs, SUFFIXES)
  codec = _codec(args)
  codec.quality_step(args.quality)
  targets = {
    kind: value
    for kind in KINDS
    if (value := getattr(args, _target_flag(kind))) is not None
  }

  def convert(data: bytes, name: str) -> bytes:
    try:
      image = load_image(data)
    except ValueError as error:
      raise ValueError(str(error).replace("the input", name)) from None
    for kind, target in targets.items():
      hit = compress_to(codec, image, kind, target)
      if not args.quiet:
        print(
          f"{name}: quality {hit.quality:g}, {kind} {hit.value:.6g}, "
          f"{hit.trials} codings",
          file=sys.stderr,
        )
      return hit.data
    return codec.compress(image, args.quality)

  _convert(args, inputs, ".sclc", convert)


def _decompress(args) -> None:
  from sclc_jax.codec.bitstream import unpack_header
  from sclc_jax.codec.codec import Codec, load_codec
  from sclc_jax.codec.images import png_bytes
  from sclc_jax.codec.model_file import read_model, shipped_models

  inputs = _walk(args.inputs, {".sclc"})
  codecs: dict[bytes, Codec] = {}

  def find(fingerprint: bytes) -> Codec:
    if fingerprint in codecs:
      return codecs[fingerprint]
    options = {"engine": args.engine, "max_pixels": args.max_pixels}
    if args.model:
      codecs[fingerprint] = load_codec(args.model, **options)
      return codecs[fingerprint]
    for path in shipped_models().values():
      model = read_model(path)
      if model.fingerprint == fingerprint:
        codecs[fingerprint] = Codec(model, **options)
        return codecs[fingerprint]
    raise ValueError(
      f"the file was made with model {fingerprint.hex()}, which is not "
      "shipped (or the file is damaged); give its .sclcm with --model."
    )

  def convert(data: bytes, name: str) -> bytes:
    codec = find(unpack_header(data).fingerprint)
    return png_bytes(codec.decompress(data))

  _convert(args, inputs, ".png", convert)


def _info(args) -> None:
  from sclc_jax.codec import bitstream
  from sclc_jax.codec.codec import Codec, describe
  from sclc_jax.codec.model_file import find_model, read_model, shipped_models

  data = pathlib.Path(args.file).read_bytes()
  header = bitstream.unpack(data)[0]
  info = describe(header, len(data))
  if args.model:
    models = {args.model: find_model(args.model)}
  else:
    models = {name: read_model(p) for name, p in shipped_models().items()}
  for name, model in models.items():
    if model.fingerprint == header.fingerprint:
      info = Codec(model, args.engine, args.max_pixels).info(data)
      info["model_name"] = name
  if args.json:
    print(json.dumps(info))
    return
  for key, value in info.items():
    print(f"{key}: {value}")


def _demo(args) -> None:
  import skimage.data

  from sclc_jax import metrics
  from sclc_jax.codec.codec import load_codec
  from sclc_jax.codec.images import png_bytes, write_whole
  from sclc_jax.plots import plot_masks

  out = pathlib.Path(args.out)
  if out.exists() and not out.is_dir():
    raise ValueError(f"--out {out} is a file; name a folder.")
  out.mkdir(parents=True, exist_ok=True)
  image = skimage.data.chelsea()
  codec = load_codec(args.model, engine=args.engine)
  write_whole(out / "photo.png", png_bytes(image))
  raw = image.size
  print("quality  bytes  bpp     psnr_db  ms_ssim  selected_fraction  file")
  panels = [("original", image, None)]
  analysis = codec.analyse(image)
  for quality in (1, 2.5, 4, 5.5, 8):
    file = out / f"photo_q{quality:g}.sclc"
    write_whole(file, codec.encode(analysis, quality))
    data = file.read_bytes()
    x_hat = codec.decompress(data)
    write_whole(file.with_suffix(".png"), png_bytes(x_hat))
    mask = codec.mask(analysis, quality)
    psnr = metrics.psnr_db(image, x_hat)
    print(
      f"{quality:<7g}  {len(data):>5}  {8 * len(data) / (raw / 3):.4f}  "
      f"{psnr:7.2f}  {metrics.ms_ssim(image, x_hat):7.4f}  "
      f"{mask.mean():17.4f}  {file}"
    )
    title = f"quality {quality:g}: {len(data)} bytes, {psnr:.1f} dB"
    panels.append((title, x_hat, mask))
  plot_masks(panels, out / "masks.png")
  print(f"pictures: {out / 'masks.png'}, {out}/photo_q*.png")


def _evaluate(args) -> None:
  from sclc_jax import evaluate as ev
  from sclc_jax.codec.images import SUFFIXES
  from sclc_jax.metrics import bd_rate

  if not pathlib.Path(args.images).is_dir():
    raise ValueError(f"--images {args.images} is not a folder.")
  paths = _walk([args.images], SUFFIXES)
  for path in (args.csv, args.plot):
    if path and not os.access(pathlib.Path(path).absolute().parent, os.W_OK):
      raise ValueError(f"cannot write {path}; its folder must exist.")
  anchors = {}
  for path in args.anchors:
    anchors |= ev.read_anchors(path)
  codec = _codec(args)
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


def _train(args) -> None:
  from sclc_jax import experiment
  from sclc_jax.train import parallel

  config = experiment.load_config(args.config, args.overrides)
  if args.distributed or args.coordinator:
    parallel.initialize(args.coordinator, args.processes, args.process)
  step = experiment.run(
    config, args.workdir, stop_at=args.stop_at, quiet=args.quiet
  )
  print(f"step {step}, {args.workdir}")


def _sweep(args) -> None:
  from sclc_jax import sweep

  points = sweep.load_sweep(args.config, args.overrides)
  names = list(points)
  if args.list:
    for index, name in enumerate(names):
      print(f"{index}\t{name}")
    return
  if args.index is not None and not 0 <= args.index < len(names):
    raise ValueError(
      f"--index must lie in [0, {len(names) - 1}], got {args.index}; --list "
      "shows the points."
    )
  if not (args.images and pathlib.Path(args.images).is_dir()):
    raise ValueError(
      f"--images {args.images} is not a folder; the points are compared on it."
    )
  chosen = names if args.index is None else [names[args.index]]
  for name in chosen:
    sweep.run_point(
      points[name],
      pathlib.Path(args.workdir) / name,
      args.images,
      args.quality,
      args.quiet,
    )
  print(sweep.summarise(names, args.workdir))


def _export(args) -> None:
  from sclc_jax.codec.model_file import freeze, save_model
  from sclc_jax.experiment import load_checkpoint

  model = freeze(*load_checkpoint(args.workdir, args.step))
  save_model(model, args.output)
  size = pathlib.Path(args.output).stat().st_size
  print(f"{args.output}\t{size} bytes\tfingerprint {model.fingerprint.hex()}")


def _models(args) -> None:
  from sclc_jax.codec.model_file import (
    DEFAULT_MODEL,
    read_model,
    shipped_models,
  )

  for name, path in shipped_models().items():
    model = read_model(path)
    default = " (default)" if name == DEFAULT_MODEL else ""
    print(f"{name}{default}: fingerprint {model.fingerprint.hex()}, "
          f"N={model.config.N}, M={model.config.M}")  # fmt: skip
    card = path.with_suffix(".json")
    if card.exists():
      for key, value in json.loads(card.read_text()).items():
        print(f"  {key}: {value}")


def _parser() -> argparse.ArgumentParser:
  formatter = argparse.ArgumentDefaultsHelpFormatter
  parser = argparse.ArgumentParser("sclc", description=__doc__)
  parser.add_argument("--version", action="store_true", help="versions")
  commands = parser.add_subparsers(dest="command", metavar="COMMAND")

  def add(name: str, run, text: str) -> argparse.ArgumentParser:
    sub = commands.add_parser(
      name, help=text, description=text, formatter_class=formatter
    )
    sub.set_defaults(run=run, overrides=[])
    sub.add_argument(
      "--device", choices=("cpu", "gpu", "tpu"), help="JAX's choice if unset"
    )
    sub.add_argument("--threads", type=int, help="CPUs to use; all if unset")
    sub.add_argument("--quiet", action="store_true", help="no progress bar")
    return sub

  def coding(sub) -> None:
    sub.add_argument("--model", help=".sclcm file or shipped name")
    sub.add_argument(
      "--engine", choices=("auto", "tfc", "portable"), default="auto",
      help="range coder; the bytes are the same",
    )  # fmt: skip
    sub.add_argument(
      "--max-pixels", type=int, default=MAX_PIXELS, help="refuse larger images"
    )

  demo = add("demo", _demo, "compress a bundled photo at several qualities")
  coding(demo)
  demo.add_argument("--out", default="sclc_demo", help="folder to write")

  for name, run, text in (
    ("compress", _compress, "images to .sclc files"),
    ("decompress", _decompress, ".sclc files to PNG images"),
  ):
    sub = add(name, run, text)
    coding(sub)
    sub.add_argument("inputs", nargs="+", help="files or folders; - is stdin")
    sub.add_argument("-o", "--output", help="file, folder, or - for stdout")
    sub.add_argument("--force", action="store_true", help="replace outputs")
    if name == "compress":
      how = sub.add_mutually_exclusive_group()
      how.add_argument(
        "--quality", type=float, default=4.0, help="1 (smallest) to 8 (best)"
      )
      for flag, text in (
        ("--target-bpp", "bits per pixel, within 1 %%"),
        ("--target-bytes", "size of the file, within 1 %%"),
        ("--max-bytes", "the best quality that fits"),
        ("--target-psnr", "dB, within 0.05 dB"),
      ):
        how.add_argument(flag, type=float, help=text)

  info = add("info", _info, "what an .sclc file holds")
  coding(info)
  info.add_argument("file")
  info.add_argument("--json", action="store_true", help="as JSON")

  evaluate = add("evaluate", _evaluate, "rate and distortion over a folder")
  coding(evaluate)
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

  train = add("train", _train, "train, or resume, an experiment")
  train.add_argument("--config", required=True, help="experiments/NAME.py")
  train.add_argument("--workdir", required=True, help="checkpoints and logs")
  train.add_argument("--stop-at", type=int, help="save and end at this step")
  train.add_argument(
    "--distributed", action="store_true",
    help="join the cluster that JAX finds (TPU pod, Slurm)",
  )  # fmt: skip
  train.add_argument("--coordinator", help="HOST:PORT of process 0, by hand")
  train.add_argument("--processes", type=int, help="how many, by hand")
  train.add_argument("--process", type=int, help="which this is, from 0")
  train.epilog = "Any further --config.KEY=VALUE replaces a config value."

  export = add("export", _export, "freeze a checkpoint into an .sclcm model")
  export.add_argument("--workdir", required=True, help="of 'sclc train'")
  export.add_argument("--step", type=int, help="the latest if unset")
  export.add_argument("-o", "--output", required=True, help="FILE.sclcm")

  sweep = add("sweep", _sweep, "train and compare the points of a sweep")
  sweep.add_argument("config", help="experiments/sweeps/NAME.py")
  sweep.add_argument("--workdir", default="runs/sweep", help="a folder a point")
  sweep.add_argument("--list", action="store_true", help="only list the points")
  sweep.add_argument("--index", type=int, help="run only this point")
  sweep.add_argument("--images", help="folder to compare the points on")
  sweep.add_argument(
    "--quality", type=float, nargs="+", default=[1, 2, 3, 4, 5, 6, 7, 8],
    help="qualities",
  )  # fmt: skip
  sweep.epilog = train.epilog

  add("models", _models, "list the shipped models")
  parse = parser.parse_known_args

  def parse_args(argv=None):
    args, rest = parse(argv)
    if rest and args.command not in ("train", "sweep"):
      parser.error(f"unknown arguments: {' '.join(rest)}")
    if rest:
      args.overrides = _join_overrides(rest)
    return args

  parser.parse_args = parse_args
  return parser


def _join_overrides(rest: list[str]) -> list[str]:
  """`--config.a b` and `--config.a=b` alike."""
  joined: list[str] = []
  for item in rest:
    if joined and "=" not in joined[-1] and not item.startswith("--"):
      joined[-1] += f"={item}"
    else:
      joined.append(item)
  return joined


if __name__ == "__main__":
  sys.exit(main())
