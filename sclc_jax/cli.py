"""The command `sclc`: parses, sets up and calls."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
import warnings

from sclc_jax.commands import (
  checks,
  coding,
  data,
  demo,
  describe,
  evaluate,
  export,
  inspect,
  models,
  plan,
  streams,
  sweep,
  train,
)
from sclc_jax.commands.common import (
  Failure,
  check_device,
  expected,
  joins_cluster,
  report,
  versions,
)

# What they print is all they do.
_SHOW = frozenset(("", "info", "models"))


def main(argv: list[str] | None = None) -> int:
  """Runs a command; returns 0 on success, 1 on failure, 2 on wrong usage.

  After Ctrl-C it is 130, and 141 if the reader of stdout has gone.
  """
  # Of photographs with damaged tags; what matters of them is told by us.
  warnings.filterwarnings("ignore", module="PIL")
  # Which versions of Python and gRPC Google will support in years to come.
  warnings.filterwarnings("ignore", category=FutureWarning, module="google")
  streams.prepare()
  args = argparse.Namespace(command="", failures=0, skipped=0, notes=[])
  code, usage, told = 0, None, False
  try:
    _run(args, argv)
  except Failure:
    pass
  except SystemExit as error:  # wrong usage, or --help
    code, usage = error.code, error
  except KeyboardInterrupt as stop:
    text = str(stop) or "interrupted"  # a training run says where it stopped
    streams.tell_error(f"sclc {args.command}: {text}")
    code = 130
  except BrokenPipeError:  # as in `sclc models | head`
    code = 141
  except Exception as error:
    if not expected(error):
      raise
    report(args, error, getattr(args, "file", ""))
    told = isinstance(error, streams.StdoutError)
  try:
    streams.finish()
  except BrokenPipeError:
    code = code or 141
  except streams.StdoutError as error:
    if not told:
      report(args, error)
  code = code or (1 if args.failures else 0)
  if usage is not None:
    raise SystemExit(code)
  return code


def _run(args, argv: list[str] | None) -> None:
  """Parses and runs a command."""
  parser = _parser()
  parser.parse_args(argv, args)
  if not args.command and not args.version:
    parser.print_help(sys.stderr)
    sys.exit(2)
  if streams.stdout_is_closed() and args.command in _SHOW:
    raise ValueError("stdout is closed, which the result goes to; open it.")
  if args.version:
    streams.tell(versions())
    return
  checks.check_buckets(args)
  checks.check_values(args)
  checks.check_model(args)
  if args.command in _CACHED and "jax" not in sys.modules:
    _keep_compilations()
  args.check(args)
  _set_up(args)
  args.run(args)


def _set_up(args) -> None:
  threads = getattr(args, "threads", None)
  if threads is not None and hasattr(os, "sched_setaffinity"):
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(0, cpus)  # XLA makes a thread a CPU
  device = getattr(args, "device", None)
  if device:
    import jax

    name = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}[device]
    jax.config.update("jax_platforms", name)
    # A cluster has to be joined before anything asks for devices.
    if not joins_cluster(args):
      check_device(device)


# Commands that compile: transforms for every size of image, or training steps.
_CACHED = frozenset(
  ("compress", "decompress", "demo", "evaluate", "inspect", "train", "sweep")
)


def _keep_compilations() -> None:
  """Lets JAX keep what it compiles in the user's cache folder.

  One folder for each kind of CPU, since homes are shared and code is not.
  """
  home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  kind = platform.machine()
  try:
    with open("/proc/cpuinfo") as file:
      kind += next((line for line in file if line.startswith("flags")), "")
  except OSError:
    pass
  name = hashlib.sha256(kind.encode()).hexdigest()[:12]
  folder = os.path.join(home, "sclc_jax", name)
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError:
    return
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


class _Parser(argparse.ArgumentParser):
  """Tells wrong usage on one line, and what stdout does not take."""

  def _print_message(self, message: str, file=None):
    if file is sys.stdout:
      streams.tell(message.rstrip("\n"))
    elif message:
      streams.tell_error(message.rstrip("\n"))

  def error(self, message: str):
    text = streams.shown(message)
    streams.tell_error(f"{self.prog}: error: {text}; see '{self.prog} --help'")
    self.exit(2)


class _Help(argparse.ArgumentDefaultsHelpFormatter):
  """Shows defaults, but for flags that are off or unset."""

  def _get_help_string(self, action):
    default = action.default
    if default is None or default is False or default == []:
      return action.help
    return super()._get_help_string(action)


def _parser() -> argparse.ArgumentParser:
  parser = _Parser(
    "sclc", description="A learned image codec: one model, every bit rate."
  )
  parser.add_argument(
    "--version", action="store_true",
    help="show the versions of sclc_jax and its libraries",
  )  # fmt: skip
  commands = parser.add_subparsers(dest="command", metavar="COMMAND")
  parsers = {}

  def add(name: str, run, text: str, check=None) -> argparse.ArgumentParser:
    sub = parsers[name] = commands.add_parser(
      name, help=text, description=text, formatter_class=_Help
    )
    sub.set_defaults(run=run, check=check or (lambda args: None), overrides=[])
    sub.add_argument(
      "--device",
      choices=("cpu", "gpu", "tpu"),
      help="where to compute; JAX chooses if unset",
    )
    sub.add_argument("--threads", type=int, help="CPUs to use; all if unset")
    sub.add_argument(
      "--quiet", action="store_true", help="no progress, no notes, no summary"
    )
    return sub

  for module in (
    demo, coding, describe, inspect, evaluate, data, train, export, sweep, plan,
    models,
  ):  # fmt: skip
    module.register(add)
  parse = parser.parse_known_args

  def parse_args(argv=None, namespace=None):
    argv, after = _cut(sys.argv[1:] if argv is None else argv)
    args, others = parse(argv, namespace)
    args.options = after
    if others and args.command not in ("train", "plan", "sweep"):
      parsers.get(args.command, parser).error(
        f"unknown arguments: {' '.join(others)}"
      )
    if others:
      args.overrides = _join_overrides(others)
    args.command = args.command or ""
    return args

  parser.parse_args = parse_args
  return parser


def _cut(argv: list[str]) -> tuple[list[str], list[str]]:
  """The arguments of `data` before a `--`, and those after, Beam's own."""
  if "data" not in argv[:1] or "--" not in argv:
    return argv, []
  at = argv.index("--")
  return argv[:at], argv[at + 1 :]


def _join_overrides(items: list[str]) -> list[str]:
  """`--config.a b` and `--config.a=b` alike."""
  joined: list[str] = []
  for item in items:
    if joined and "=" not in joined[-1] and not item.startswith("--"):
      joined[-1] += f"={item}"
    else:
      joined.append(item)
  return joined


if __name__ == "__main__":
  sys.exit(main())
