"""Checks that need no model: they take milliseconds and come before JAX."""

from __future__ import annotations

import errno
import importlib.util
import math
import os
import pathlib
import re
from collections.abc import Iterable

from sclc_jax import buckets
from sclc_jax.buckets import Path, is_remote
from sclc_jax.codec.model.shipped import find_file
from sclc_jax.files import is_folder, is_there, same_file

# What may stand before the path in `data.source`.
_SOURCE = re.compile(r"folder:|tfds:(?:[^@]*@)?")
_WRITTEN = ("output", "out", "csv", "json", "plot", "report", "workdir")
_READ_WORKDIR = ("export", "workdir")
_POSITIVE = (lambda value: 0 < value < math.inf), "be positive"
_COUNT = (lambda value: value >= 1), "be at least 1"
_VALUES = {
  "threads": _COUNT,
  "max_pixels": _COUNT,
  "stop_at": _COUNT,
  "effort": ((lambda value: 0 <= value <= 64), "lie in [0, 64]"),
  "target_bpp": _POSITIVE,
  "target_bytes": _POSITIVE,
  "max_bytes": _POSITIVE,
  "target_psnr": _POSITIVE,
  "target_ssimulacra2": (
    (lambda value: -math.inf < value <= 100),
    "be at most 100",
  ),
}
_MOST_TRACED = 1000  # steps; traces of more can hardly be opened
_TOP = 8  # quality of the shipped models


def check_values(args) -> None:
  """Raises a ValueError where a flag has a value that no model can take."""
  for name, (accepts, text) in _VALUES.items():
    value = getattr(args, name, None)
    if value is not None and not accepts(value):
      raise ValueError(f"{_flag(name)} must {text}, got {value}.")
  qualities = getattr(args, "quality", None)
  if qualities is not None:
    # Another model may have more levels than the shipped ones.
    other = not hasattr(args, "model") or _is_model_file(args.model)
    top = math.inf if other else _TOP
    for value in qualities if isinstance(qualities, list) else [qualities]:
      if not (1 <= value <= top and math.isfinite(value)):
        raise ValueError(
          f"--quality must lie in [1, {_TOP}], got {value:g}; 1 gives the "
          f"smallest file, {_TOP} the best picture."
        )


def check_package(flag: str, name: str, install: str = "") -> None:
  """Raises a ValueError where the package that a flag needs is missing."""
  if importlib.util.find_spec(name) is None:
    raise ValueError(
      f"{flag} needs the package {name}, which is not installed; "
      f"pip install {install or name}."
    )


def check_model(args) -> None:
  """Raises a ValueError where `--model` is neither a file nor shipped."""
  name = getattr(args, "model", None)
  if name is None:
    return
  find_file(name)  # a ValueError where it is no name
  if _is_model_file(name):
    input_file("--model", name)


def _is_model_file(name: str | None) -> bool:
  return name is not None and (name.endswith(".sclcm") or os.sep in name)


def check_buckets(args) -> None:
  """Raises a ValueError where an argument names a bucket that cannot be used.

  That is refused at once; local paths take no time.
  """
  for name, value in vars(args).items():
    is_read = name not in _WRITTEN or (args.command, name) == _READ_WORKDIR
    for text in value if isinstance(value, list) else [value]:
      if isinstance(text, str) and "://" in text:
        key, _, after = text.partition("=")
        flag = key if name == "overrides" else _flag(name)
        check_source(flag, after if name == "overrides" else text, is_read)


def check_source(flag: str, value: str, is_read: bool = True) -> None:
  """Raises a ValueError where a path, or a `data.source`, cannot be used."""
  path = value[match.end() :] if (match := _SOURCE.match(value)) else value
  permissions = buckets.READ if is_read else buckets.WRITE
  buckets.check(flag, path, permissions)


def input_file(flag: str, path: str) -> None:
  """Raises a ValueError where there is no such file."""
  try:
    if is_remote(path) and not (is_there(path) or is_folder(path)):
      raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not is_remote(path):
      os.stat(path)
  except OSError as error:
    raise ValueError(
      f"{flag} {path}: {error.strerror}; give a file that exists."
    ) from None
  if is_folder(path):
    raise ValueError(f"{flag} {path} is a folder; give a file.")


def input_folder(flag: str, path: str) -> None:
  """Raises a ValueError where there is no such folder."""
  if not is_folder(path):
    raise ValueError(
      f"{flag} {path} is not a folder; give a folder that exists."
    )


def images_in(flag: str, folder: str) -> list[Path]:
  """The images of a folder; raises a ValueError where it has none."""
  from sclc_jax.images import find_images

  paths = find_images(folder)
  if not paths:
    raise ValueError(
      f"{flag} {folder} has no image; give a folder of photographs."
    )
  return paths


def output_folder(flag: str, path: str) -> None:
  """Raises a ValueError where a folder neither is there nor can be made."""
  if is_remote(path):
    return
  folder = pathlib.Path(path)
  try:
    os.stat(folder)
  except FileNotFoundError:
    pass  # to be made
  except OSError as error:
    raise ValueError(
      f"cannot write {flag} {path}: {error.strerror}; name another folder."
    ) from None
  else:
    if not folder.is_dir():
      raise ValueError(f"{flag} {path} is a file; name a folder.")
  whole = folder.absolute()
  above = next(p for p in (whole, *whole.parents) if os.path.lexists(p))
  if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
    raise ValueError(
      f"cannot write {flag} {path}: {above} is no folder that can be written; "
      "name another folder."
    )


def output_file(flag: str, path: str, inputs: Iterable[str] = ()) -> None:
  """Raises a ValueError where a file cannot be written, or is an input."""
  if is_folder(path):
    raise ValueError(f"{flag} {path} is a folder; name a file.")
  if (other := same_file(path, inputs)) is not None:
    raise ValueError(
      f"{flag} {path} is the input {other} itself; name another file."
    )
  if is_remote(path):
    return
  folder = pathlib.Path(os.path.realpath(path)).parent
  if not (folder.is_dir() and os.access(folder, os.W_OK)):
    raise ValueError(
      f"cannot write {flag} {path}; its folder must exist and be writable."
    )


def profiled_steps(text: str) -> range:
  """`START:STOP` of --profile to the steps that are traced.

  Raises:
    ValueError: it is no such range.
  """
  first, colon, end = text.partition(":")
  if not (colon and first.isdecimal() and end.isdecimal()):
    raise ValueError(
      f"--profile {text} is no range of steps; give START:STOP, such as "
      "100:110."
    )
  steps = range(int(first), int(end))
  if not 0 < len(steps) <= _MOST_TRACED:
    raise ValueError(
      f"--profile {text} has {len(steps)} steps; give 1 to {_MOST_TRACED}, "
      "such as 100:110."
    )
  return steps


def _flag(name: str) -> str:
  names = {"output": "-o", "inputs": "input", "file": "input", "image": "input"}
  return names.get(name, "--" + name.replace("_", "-"))
