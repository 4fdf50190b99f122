"""The models in the package, and one's own: their files and their cards.

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

DEFAULT_MODEL = "hyperprior-mse-conditional"
_FAST_SUFFIX = ".fast.sclcm"


def shipped_models() -> dict[str, pathlib.Path]:
  """Names and files of the models in the package."""
  folder = importlib.resources.files("sclc_jax.weights")
  return {
    pathlib.Path(str(entry)).stem: pathlib.Path(str(entry))
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sclcm") and not entry.name.endswith(_FAST_SUFFIX)
  }


def own_models() -> dict[str, pathlib.Path]:
  """Those in the folder of one's own, which $SCLC_MODELS names."""
  folder = os.environ.get("SCLC_MODELS")
  if not folder:
    return {}
  paths = sorted(pathlib.Path(folder).glob("*.sclcm"))
  return {
    path.stem: path for path in paths if not path.name.endswith(_FAST_SUFFIX)
  }


def known_models() -> dict[str, pathlib.Path]:
  """The shipped ones, the default first, and then one's own."""
  shipped = shipped_models()
  first = {DEFAULT_MODEL: shipped[DEFAULT_MODEL]}
  return first | shipped | (own_models() | shipped)


def fast_path(path: str | os.PathLike) -> Path:
  """Where the fast decoder of a model lies, if it has one (`fast_file`)."""
  path = to_path(path)
  return path.with_name(path.name.removesuffix(".sclcm") + _FAST_SUFFIX)


def known_file(fingerprint: str) -> tuple[str, pathlib.Path] | None:
  """Name and file of the model that has this fingerprint, if any."""
  from sclc_jax.codec.model.tensor_file import read_about

  shipped = shipped_models()
  for name, path in known_models().items():
    try:
      about = read_about(path)
    except ValueError:  # a damaged one of the user's own is not in the way
      if name in shipped:
        raise
      continue
    if about["fingerprint"] == fingerprint:
      return name, path
  return None


def find_file(path_or_name: str | None = None) -> pathlib.Path:
  """The file of a model by path or name, or of the default one."""
  known = known_models()
  name = DEFAULT_MODEL if path_or_name is None else path_or_name
  if name in known:
    return known[name]
  if name.endswith(".sclcm") or os.sep in name:
    return _fetched(name) if is_remote(name) else pathlib.Path(name)
  raise ValueError(
    f"there is no model {name!r}; there are {', '.join(known)}; else give the "
    "path of an .sclcm file, or name its folder in SCLC_MODELS."
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
    `use`, when to take it; `purpose`, in one line; `kmac_per_pixel` to `encode`
    and `decode`; `curve`, with `columns` and `rows` of numbers;
    `bd_rate_percent` against other codecs; `hours`; `parameters`; and
    `provenance`, the runs that trained it, whose `config` has what differs from
    the defaults, by dotted key.
  """
  return json.loads(shipped_models()[name].with_suffix(".json").read_text())
