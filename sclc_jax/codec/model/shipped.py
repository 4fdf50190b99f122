"""The models in the package: their files and their cards.

To name a model takes milliseconds: NumPy comes with the first file read.
"""

from __future__ import annotations

import atexit
import functools
import importlib.resources
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

from sclc_jax.buckets import Path, is_remote, to_path
from sclc_jax.config import ModelConfig, from_dict
from sclc_jax.files import is_there, read_whole

DEFAULT_MODEL = "hyperprior-mse"
_FAST_SUFFIX = ".fast.sclcm"


def shipped_models() -> dict[str, pathlib.Path]:
  """Names and files of the models in the package."""
  folder = importlib.resources.files("sclc_jax.weights")
  return {
    pathlib.Path(str(entry)).stem: pathlib.Path(str(entry))
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sclcm") and not entry.name.endswith(_FAST_SUFFIX)
  }


def fast_path(path: str | os.PathLike) -> Path:
  """Where the fast decoder of a model lies, if it has one (`fast_file`)."""
  path = to_path(path)
  return path.with_name(path.name.removesuffix(".sclcm") + _FAST_SUFFIX)


def shipped_file(fingerprint: str) -> tuple[str, pathlib.Path] | None:
  """Name and file of the one that has this fingerprint, if any."""
  from sclc_jax.codec.model.tensor_file import read_about

  for name, path in shipped_models().items():
    if read_about(path)["fingerprint"] == fingerprint:
      return name, path
  return None


def find_file(path_or_name: str | None = None) -> pathlib.Path:
  """The file of a model by path or shipped name, or of the default one."""
  shipped = shipped_models()
  name = DEFAULT_MODEL if path_or_name is None else path_or_name
  if name in shipped:
    return shipped[name]
  if name.endswith(".sclcm") or os.sep in name:
    return _fetched(name) if is_remote(name) else pathlib.Path(name)
  raise ValueError(
    f"there is no model {name!r}; shipped are {', '.join(shipped) or 'none'}; "
    "else give the path of an .sclcm file."
  )


@functools.cache
def _fetched(name: str) -> pathlib.Path:
  """A copy of a model in a bucket, with what lies beside it."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="sclc-"))
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  model = to_path(name)
  (folder / model.name).write_bytes(read_whole(model))
  for path in (fast_path(model), model.with_suffix(".preview.npz")):
    if is_there(path):
      (folder / path.name).write_bytes(read_whole(path))
  return folder / model.name


def read_facts(path: str | os.PathLike) -> dict[str, Any]:
  """What a model's file says of it, without reading its arrays."""
  from sclc_jax.codec.model.tensor_file import read_about

  about = read_about(path)
  config = from_dict(about["model"], ModelConfig)
  fast = ["fast decoder"] if fast_path(path).is_file() else []
  return {
    "fingerprint": about["fingerprint"],
    "base": config.base,
    "N": config.N,
    "M": config.M,
    "bytes": os.path.getsize(path),
    "parts": config.describe_parts() + fast,
    "rates": config.describe_rates(),
    **{key: about[key] for key in ("provenance",) if key in about},
  }


def read_card(name: str) -> dict[str, Any]:
  """What is known of a shipped model beside its file.

  Returns:
    `purpose`, in one line; `curve`, with `columns` and `rows` of numbers;
    `bd_rate_percent` against other codecs; `hours`; `parameters`; and
    `provenance`, the runs that trained it, whose `config` has what differs from
    the defaults, by dotted key.
  """
  return json.loads(shipped_models()[name].with_suffix(".json").read_text())
