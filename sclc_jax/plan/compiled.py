"""Compiles a step ahead of time, and keeps what the compiler said.

JAX's own cache cannot read back what was compiled for absent devices, and a
step takes minutes. So the text of the program and its memory are kept here.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax

from sclc_jax.files import write_whole

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_AMOUNT = r"\(?([\d.]+)([KMGT]?)\)?"
_NEEDED = re.compile(
  rf"{_AMOUNT} exceeds available \w+ {_AMOUNT}|Used {_AMOUNT} of {_AMOUNT}"
)


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What is known of a compiled program.

  Attributes:
    text: as of `jax.stages.Compiled.as_text`; empty if it does not fit.
    memory: bytes that a device needs for it: arguments, results that are not
      arguments anew, temporary arrays, code.
    fixed: those of them that do not grow with the batch, as far as known.
    limit: bytes that the compiler says there are; 0 if it fits.
  """

  text: str
  memory: int
  fixed: int = 0
  limit: int = 0


def compile_step(
  step: Callable, shapes: tuple[Any, ...], devices: tuple, folder: str | None
) -> Compiled:
  """Compiles a pmapped step, or reads what was kept of it.

  Args:
    step: as of `step.make_dispatch`.
    shapes: of its arguments, as of `step.call_shapes`.
    devices: that it was made for.
    folder: where results are kept; None keeps none.
  """
  lowered = step.lower(*shapes)
  path = folder and pathlib.Path(folder) / _name(lowered, devices)
  if path and path.is_file():
    return Compiled(**json.loads(gzip.decompress(path.read_bytes())))
  try:
    result = _described(lowered.compile(), shapes)
  except Exception as error:
    # RESOURCE_EXHAUSTED is a result; its type differs between versions of JAX.
    if (result := _too_large(str(error))) is None:
      raise
  if path:
    data = json.dumps(dataclasses.asdict(result)).encode()
    write_whole(path, gzip.compress(data), make_folder=True)
  return result


def _name(lowered: Any, devices: tuple) -> str:
  """Of the file for a program: it, the devices and the compiler decide."""
  about = [lowered.as_text(), jax.__version__, jax.lib.__version__]
  about += [devices[0].device_kind, str(len(devices))]
  about += [str(getattr(devices[-1], "slice_index", 0)), _libtpu()]
  digest = hashlib.sha256("\n".join(about).encode()).hexdigest()
  return f"{digest[:24]}.json.gz"


def _libtpu() -> str:
  """Its version; empty where it is not installed."""
  import importlib.metadata

  try:
    return importlib.metadata.version("libtpu")
  except importlib.metadata.PackageNotFoundError:
    return ""


def _described(compiled: Any, shapes: tuple[Any, ...]) -> Compiled:
  memory = compiled.memory_analysis()
  devices = jax.tree.leaves(shapes)[0].shape[0]
  batches = jax.tree.leaves(shapes[2])
  batch = sum(leaf.size * leaf.dtype.itemsize for leaf in batches) // devices
  steady = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes
    + memory.generated_code_size_in_bytes
  )
  return Compiled(
    text=compiled.as_text(),
    memory=steady + memory.temp_size_in_bytes,
    fixed=steady - batch,
  )


def _too_large(text: str) -> Compiled | None:
  """What the compiler says of a program that does not fit; None if it fits."""
  match = _NEEDED.search(text)
  if "RESOURCE_EXHAUSTED" not in text or match is None:
    return None
  groups = [group for group in match.groups() if group is not None]
  needed, limit = (
    int(float(amount) * _UNITS[unit])
    for amount, unit in (groups[:2], groups[2:])
  )
  return Compiled("", needed, limit=limit)


def cache_folder() -> str:
  """Where a user's programs are kept."""
  home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  return os.path.join(home, "sclc_jax", "plan")
