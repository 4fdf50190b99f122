"""What the commands share: flags, inputs, and how failures are told."""

from __future__ import annotations

import argparse
import glob
import pathlib
import sys
from collections.abc import Callable

import tqdm

from sclc_jax import __version__
from sclc_jax.images import MAX_PIXELS

QUALITIES = (1, 2, 3, 4, 5, 6, 7, 8)  # the default of `quality_flag`
# Adds a command: (name, run(args), one line of help) to its parser.
Add = Callable[[str, Callable, str], argparse.ArgumentParser]


class Failure(Exception):
  """Some inputs failed; each has been reported."""


def report(args, error: Exception, name: str = "") -> None:
  """One line on stderr; `name` is the input, where the text lacks it."""
  text = " ".join(str(error).split())
  if name and name not in text:
    text = f"{name}: {text}"
  tqdm.tqdm.write(f"sclc {args.command}: error: {text}", file=sys.stderr)


def joins_cluster(args) -> bool:
  """Whether the flags ask for other processes (`sclc train` alone has them)."""
  return bool(
    getattr(args, "distributed", False) or getattr(args, "coordinator", None)
  )


def check_device(device: str) -> None:
  """Starts JAX on the devices it is set to; a ValueError names missing ones."""
  import jax

  try:
    jax.devices()
  except RuntimeError as error:
    raise ValueError(
      f"there is no {device} here ({error}); use --device cpu."
    ) from None


def note(args, text: str) -> None:
  """One line on stderr about what was done."""
  tqdm.tqdm.write(f"sclc {args.command}: {text}", file=sys.stderr)


def open_codec(args, progress: bool = False):
  """The codec that the coding flags name."""
  from sclc_jax.codec.codec import load_codec

  return load_codec(
    args.model,
    engine=args.engine,
    max_pixels=args.max_pixels,
    effort=getattr(args, "effort", 0),
    progress=progress,
  )


def walk(inputs: list[str], suffixes) -> list[pathlib.Path]:
  """The files named, and those below folders and matching globs, in order."""
  found = []
  for name in inputs:
    path = pathlib.Path(name)
    if glob.has_magic(name) and not path.exists():
      names = sorted(glob.glob(name, recursive=True))
      if not names:
        raise ValueError(f"no file matches {name}.")
      found += [p for p in map(pathlib.Path, names) if not p.is_dir()]
      continue
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


def model_flags(sub: argparse.ArgumentParser) -> None:
  """Flags of every command that opens a model."""
  sub.add_argument("--model", help=".sclcm file or shipped name")
  sub.add_argument(
    "--engine", choices=("auto", "tfc", "portable"), default="auto",
    help="range coder; the bytes are the same",
  )  # fmt: skip


def coding_flags(sub: argparse.ArgumentParser) -> None:
  """Those, and the limit of the images and files that a command is given."""
  model_flags(sub)
  sub.add_argument(
    "--max-pixels", type=int, default=MAX_PIXELS, help="refuse larger images"
  )


def effort_flag(sub: argparse.ArgumentParser) -> None:
  """`--effort` of the commands that encode."""
  sub.add_argument(
    "--effort", type=int, default=0,
    help="passes of a search for better symbols, 0 to 64: more quality for "
    "the size, longer encoding, the same decoding; 4 gives most of it",
  )  # fmt: skip


def quality_flag(sub: argparse.ArgumentParser) -> None:
  """`--quality` of the commands that take several."""
  sub.add_argument(
    "--quality", type=_qualities, nargs="+", action=_Joined,
    default=list(QUALITIES), metavar="Q",
    help="qualities, or ranges FIRST:LAST:STEP such as 1:8:0.125",
  )  # fmt: skip


class _Joined(argparse.Action):
  """Stores the lists of all arguments as one."""

  def __call__(self, parser, namespace, values, option_string=None):
    joined = dict.fromkeys(q for part in values for q in part)
    setattr(namespace, self.dest, list(joined))


def _qualities(text: str) -> list[float]:
  """`4.5`, or `1:8:0.125` with its ends, to qualities."""
  parts = [float(part) for part in text.split(":")]
  if len(parts) == 1:
    return parts
  first, last, step = parts if len(parts) == 3 else (*parts, 1.0)
  if not (step > 0 and first <= last and (last - first) / step <= 1000):
    raise argparse.ArgumentTypeError(
      f"{text} is not a range FIRST:LAST:STEP of at most 1000 steps upwards"
    )
  count = int((last - first) / step + 1e-6) + 1
  return [first + i * step for i in range(count)]


def versions() -> str:
  """Of everything that matters, one a line."""
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
