"""The inputs of a command, and the output that each of them gets."""

from __future__ import annotations

import glob
import os
import pathlib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from sclc_jax.buckets import Path, find, is_remote, to_path
from sclc_jax.commands.common import report
from sclc_jax.commands.streams import check_stdin
from sclc_jax.files import (
  HIDDEN,
  Listing,
  is_folder,
  is_there,
  list_files,
  matches,
  same_file,
)


class Source(NamedTuple):
  """An input.

  Attributes:
    path: to read; None is stdin.
    below: its name below a folder of outputs, from the folder on that was
      given.
  """

  path: Path | None
  below: pathlib.PurePath


class Job(NamedTuple):
  """An input and its output.

  Attributes:
    source: to read; None is stdin.
    target: to write; None is stdout.
    in_folder: it lies below a folder of outputs, which is made for it.
  """

  source: Path | None
  target: Path | None
  in_folder: bool = False


def find_sources(
  args, inputs: Collection[str], suffixes: Collection[str]
) -> list[Source]:
  """The files named, and those below folders and matching globs, in order.

  What is wrong with an input is reported; the others are found all the same.
  What a folder holds beside them is added to `args.notes`.
  """
  sources: list[Source] = []
  for name in inputs:
    try:
      sources += _sources(args, name, suffixes)
    except (ValueError, OSError) as error:
      report(args, error, name)
  return sources


def _sources(args, name: str, suffixes) -> Iterator[Source]:
  if name == "-":
    yield Source(None, pathlib.PurePath("stdin"))
    return
  if not name:
    raise ValueError("an input has an empty name; give a file or a folder.")
  path = to_path(name)
  if is_folder(name):
    yield from _in_folder(args, path, suffixes)
  elif glob.has_magic(name) and not is_there(name):
    paths = matches(name)
    if not paths:
      raise ValueError(
        f"no file matches {name}; write a pattern as 'folder/*.jpg', or name "
        "the folder."
      )
    files = sorted(p for p in paths if not p.is_dir())
    if not files:
      raise ValueError(f"{name} matches folders alone; name a folder itself.")
    yield from (Source(p, pathlib.PurePath(p.name)) for p in files)
  else:
    yield Source(path, pathlib.PurePath(path.name))


def _in_folder(args, folder: Path, suffixes) -> Iterator[Source]:
  listing = list_files(folder, suffixes)
  for error in listing.errors:
    report(args, ValueError(
      f"cannot read the folder {error.filename}: {error.strerror}; make it "
      "readable, or name the files in it."
    ))  # fmt: skip
  left_out = describe_left_out(listing)
  if not listing.files:
    if listing.errors:
      return
    raise ValueError(
      f"the folder {folder} holds no file that ends in "
      f"{', '.join(sorted(suffixes))}{left_out and f' (but {left_out})'}."
    )
  if left_out and not args.quiet:
    args.notes.append(f"{folder}: left out {left_out}")
  for path in listing.files:
    yield Source(path, pathlib.PurePath(os.path.relpath(path, folder)))


def describe_left_out(listing: Listing, most: int = 6) -> str:
  """In a few words, what a folder holds beside its files."""
  others = Counter({k: n for k, n in listing.left_out.items() if k[0] == "."})
  kinds = listing.left_out - others
  parts = []
  if others:
    shown = [f"{n} {suffix}" for suffix, n in others.most_common(most)]
    if len(others) > most:
      shown.append(f"{len(others) - most} other suffixes")
    parts.append(f"{others.total()} of another format ({', '.join(shown)})")
  parts += [f"{n} {_plural(kind, n)}" for kind, n in kinds.items()]
  return ", ".join(parts)


def _plural(kind: str, count: int) -> str:
  """`pipes`, `names that begin with a dot`, `links to a folder that ...`."""
  if count == 1:
    return kind
  if kind == HIDDEN:
    return "names that begin with a dot"
  word, space, after = kind.partition(" ")
  return f"{word}s{space}{after}".replace("that leads", "that lead")


def make_jobs(args, sources: list[Source], suffix: str, written) -> list[Job]:
  """Names the output of every source; reports those that cannot have theirs.

  Derived names replace the last extension. What `-o` names is a file where one
  file goes in by its own name, and a folder where there may be several.

  Args:
    args: with inputs, output and force.
    sources: as of `find_sources`.
    suffix: of derived names.
    written: suffixes that tell an output file from a folder.

  Raises:
    ValueError: `-o` does not go with the inputs.
  """
  out = args.output
  single = len(args.inputs) == 1 and not _may_be_many(args.inputs[0])
  if out == "-" or (out is None and single and args.inputs == ["-"]):
    if not single:
      raise ValueError("-o - takes a single input; name a folder with -o.")
    for source in sources:
      _check_source(source.path)
    return [Job(source.path, None) for source in sources]
  if out is None and "-" in args.inputs:
    raise ValueError(
      "- gives its output to stdout, where it must be the single input; name "
      "a folder with -o."
    )
  if out == "":
    raise ValueError("-o has an empty name; name a file or a folder.")
  derived = True
  if out is None:
    targets = [source.path.with_suffix(suffix) for source in sources]
  elif single and not is_folder(out) and not out.endswith(os.sep):
    targets, derived = [to_path(out) for _ in sources], False
  else:
    _check_folder(out, written)
    folder = to_path(out)
    targets = [folder / source.below.with_suffix(suffix) for source in sources]
  return _sound(args, sources, targets, derived)


def _may_be_many(name: str) -> bool:
  return is_folder(name) or (glob.has_magic(name) and not is_there(name))


def _check_folder(out: str, written: Collection[str]) -> None:
  if is_folder(out):
    return
  if is_there(out):
    raise ValueError(
      f"-o {out} is a file, where a folder is wanted for what is written; "
      "name another."
    )
  if not out.endswith(os.sep) and os.path.splitext(out)[1].lower() in written:
    raise ValueError(
      f"-o {out} names one file, but there may be several outputs; name a "
      f"folder, or end it in {os.sep} if that is its name."
    )


def _sound(args, sources, targets, derived: bool) -> list[Job]:
  """The jobs that nothing speaks against; the others are reported."""
  read = [source.path for source in sources if source.path is not None]
  for name in ("model", "quality_map"):
    if getattr(args, name, None) is not None:
      read.append(getattr(args, name))
  jobs, claims, inputs = [], {}, _Inputs(read)
  present = _Present(args.output)
  for source, target in zip(sources, targets):
    name = "stdin" if source.path is None else str(source.path)
    try:
      _check_source(source.path)
      if args.skip_existing and target in present and inputs.at(target) is None:
        args.skipped += 1
        continue
      _check_target(target, inputs, present, derived, args.force)
      key = _one_name(target)
      if key in claims:
        raise ValueError(
          f"{name} and {claims[key]} would both be written to {target}; name "
          "another output for one of them with -o."
        )
      claims[key] = name
      jobs.append(Job(source.path, target, derived and args.output is not None))
    except OSError as error:
      report(args, ValueError(
        f"cannot write {error.filename}: {error.strerror}; name another "
        "output with -o."
      ), name)  # fmt: skip
    except ValueError as error:
      report(args, error, name)
  return jobs


def _one_name(path: Path) -> str:
  """The same for all names of a file."""
  return os.fspath(path) if is_remote(path) else os.path.realpath(path)


def _check_source(path: Path | None) -> None:
  if path is None:
    check_stdin()
    return
  if is_remote(path):
    return  # a request each; what is missing is told when it is read
  try:
    os.stat(path)
  except OSError as error:
    raise ValueError(
      f"cannot read {path}: {error.strerror}; give a file that exists."
    ) from None


class _Inputs:
  """Files that are read, by what they are and not by their names."""

  def __init__(self, paths):
    self._paths = {}
    for path in paths:
      try:
        self._paths.setdefault(self._identity(path), path)
      except (OSError, ValueError):
        continue

  @staticmethod
  def _identity(path) -> tuple:
    if is_remote(path):
      return (os.fspath(path),)
    status = os.stat(path)
    return status.st_dev, status.st_ino

  def at(self, target: Path) -> str | None:
    """The input that a plain file or pipe is, if any."""
    try:
      path = self._paths.get(self._identity(target))
    except FileNotFoundError:
      return None
    return None if path is None else same_file(target, [path])


class _Present:
  """Which outputs are there already.

  One request tells it of all that lie in the folder in a bucket that -o names.
  """

  def __init__(self, output: str | None):
    is_bucket = output is not None and is_remote(output)
    self._objects = frozenset(find(output)) if is_bucket else None

  def __contains__(self, target: Path) -> bool:
    if self._objects is None:
      return is_there(target)
    return os.fspath(target) in self._objects


def _check_target(
  target: Path, inputs: _Inputs, present: _Present, derived: bool, force: bool
) -> None:
  """Raises a ValueError or OSError where it cannot or must not be written."""
  read = inputs.at(target)
  if read is not None:
    raise ValueError(
      f"the output {target} is the input {read} itself; name another with -o."
    )
  if not is_remote(target) and os.path.isdir(target):
    raise ValueError(
      f"{target} is a folder, where a file is to be written; name another "
      "output with -o."
    )
  folder = os.path.dirname(_one_name(target))
  if not (derived or is_remote(target) or os.path.isdir(folder)):
    raise ValueError(
      f"cannot write {target}: its folder does not exist; make it, or name "
      "another output with -o."
    )
  if derived and not force and target in present:
    raise ValueError(
      f"{target} exists already; name another output with -o, replace it with "
      "--force, or leave it with --skip-existing."
    )
