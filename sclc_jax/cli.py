"""The command `sclc`: parses, sets up and calls."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
import warnings

from sclc_jax.commands import (
  coding,
  demo,
  describe,
  evaluate,
  inspect,
  models,
  train,
)
from sclc_jax.commands.common import (
  Failure,
  check_device,
  joins_cluster,
  report,
  versions,
)


def main(argv: list[str] | None = None) -> int:
  """Runs a command; returns 0 on success, 1 on failure, 2 on wrong usage.

  Of a signal the shell's code: 130 where interrupted, 141 where who reads
  stdout has gone.
  """
  # Of photographs with damaged tags; what matters of them is told by us.
  warnings.filterwarnings("ignore", module="PIL")
  args = _parser().parse_args(argv)
  if args.version:
    print(versions())
    return 0
  if args.command is None:
    _parser().print_help(sys.stderr)
    return 2
  try:
    _set_up(args)
    args.run(args)
    sys.stdout.flush()
  except Failure:
    return 1
  except BrokenPipeError:
    # As in `sclc models | head`. What is left to write goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
  except (ValueError, OSError) as error:
    report(args, error)
    return 1
  except KeyboardInterrupt:
    print(f"sclc {args.command}: interrupted", file=sys.stderr)
    return 130
  return 0


def _set_up(args) -> None:
  threads = getattr(args, "threads", None)
  if threads is not None:
    if threads < 1:
      raise ValueError(f"--threads must be at least 1, got {threads}.")
    if hasattr(os, "sched_setaffinity"):
      cpus = sorted(os.sched_getaffinity(0))[:threads]
      os.sched_setaffinity(0, cpus)  # XLA makes a thread a CPU
  if args.command in _CACHED and "jax" not in sys.modules:
    _keep_compilations()
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


def _parser() -> argparse.ArgumentParser:
  formatter = argparse.ArgumentDefaultsHelpFormatter
  parser = argparse.ArgumentParser(
    "sclc", description="A learned image codec: one model, every bit rate."
  )
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
    sub.add_argument(
      "--quiet", action="store_true", help="no progress, no summary"
    )
    return sub

  for module in (demo, coding, describe, inspect, evaluate, train, models):
    module.register(add)
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
