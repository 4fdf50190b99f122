"""What the commands share: flags, and how they report failures and notes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from sclc_jax import __version__
from sclc_jax.commands.streams import StdoutError, shown, tell, tell_error
from sclc_jax.formats import MAX_PIXELS

QUALITIES = (1, 2, 3, 4, 5, 6, 7, 8)  # the default of `quality_flag`
# Adds a command: (name, run(args), one line of help, check(args)) to its
# parser. `check` needs no model, and comes before JAX is loaded.
Add = Callable[..., argparse.ArgumentParser]


class Failure(Exception):
  """Nothing is left to do; what failed has been reported."""


def report(args, error: Exception, name: str = "") -> None:
  """Tells a failure on one line of stderr; the command will exit with 1.

  Args:
    args: of the command.
    error: what it says is for the user, or it is our own fault.
    name: of the input, where the text lacks it.
  """
  args.failures += 1
  if isinstance(error, OSError) and error.filename is not None:
    text = f"{error.filename}: {error.strerror}"
  elif isinstance(error, MemoryError):
    text = "not enough memory; take fewer --threads or smaller images"
  elif isinstance(error, StdoutError):
    text = f"cannot write to stdout: {error}; send it elsewhere"
  elif isinstance(error, (ValueError, OSError)):
    text = str(error)
  else:
    text = (
      f"unexpected {type(error).__name__}: {error}; please report it with what "
      "'python -X dev -m sclc_jax' and the same arguments print"
    )
  if name and name not in text:
    text = f"{name}: {text}"
  program = f"sclc {args.command}".rstrip()
  tell_error(f"{program}: error: {shown(text)}")


def expected(error: Exception) -> bool:
  """Whether to report it in one line; not while Python runs with -X dev."""
  kinds = ValueError, OSError, MemoryError, StdoutError
  return isinstance(error, kinds) or not sys.flags.dev_mode


def note(args, text: str) -> None:
  """One line on stderr about what was done."""
  tell_error(f"sclc {args.command}: {shown(text)}")


def hides_bars(args) -> bool:
  """Whether progress is not shown: a file or a pipe is no terminal."""
  return args.quiet or not sys.stderr.isatty()


def tell_notes(args) -> None:
  """Notes of the checks, once nothing has spoken against the command."""
  for text in args.notes:
    note(args, text)


def result(path: object, text: str = "") -> None:
  """One line on stdout: a file that was written, and what to say of it."""
  tell(f"{shown(path)}\t{text}" if text else shown(path))


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
    text = " ".join(str(error).split()).partition(" (set JAX_PLATFORMS")[0]
    raise ValueError(
      f"--device {device}: there is no {device} here ({text}); use --device "
      "cpu, or leave it out."
    ) from None


def open_codec(args, progress: bool = False):
  """The codec that the coding flags name."""
  from sclc_jax.codec.codec import load_codec

  return load_codec(
    args.model,
    engine=args.engine,
    max_pixels=args.max_pixels,
    effort=getattr(args, "effort", 0),
    fast=getattr(args, "fast", False),
    progress=progress,
  )


def model_flags(sub: argparse.ArgumentParser) -> None:
  """Flags of every command that opens a model."""
  sub.add_argument(
    "--model",
    help=".sclcm file, or a name of 'sclc models'; if unset the default model "
    "('decompress' and 'info' take the file's own)",
  )
  sub.add_argument(
    "--engine", choices=("auto", "tfc", "portable"), default="auto",
    help="range coder: tensorflow-compression's or ours; same bytes",
  )  # fmt: skip


def coding_flags(sub: argparse.ArgumentParser) -> None:
  """Those, and the limit of the images and files that a command is given."""
  model_flags(sub)
  sub.add_argument(
    "--max-pixels",
    type=int,
    default=MAX_PIXELS,
    help="refuse images of more pixels",
  )


def effort_flag(sub: argparse.ArgumentParser) -> None:
  """`--effort` of the commands that encode."""
  sub.add_argument(
    "--effort", type=int, default=0,
    help="0 to 64: search longer for a better file; 4 gives most of the gain, "
    "with the default model on Kodak 5.3 %% fewer bytes at equal PSNR, 16 "
    "6.5 %%; at equal quality PSNR rises, and the size changes by -2 to 5 %%; "
    "decoding takes no longer",
  )  # fmt: skip


def fast_flag(sub: argparse.ArgumentParser) -> None:
  """`--fast` of the commands that decode."""
  sub.add_argument(
    "--fast", action="store_true",
    help="pictures from the model's fast decoder, where it has one: several "
    "times as soon, a little less good",
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
