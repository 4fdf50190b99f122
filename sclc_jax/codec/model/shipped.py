"""The models in the package: their files and their cards.

To name a model takes milliseconds: NumPy comes with the first file read.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import pathlib
from typing import Any

from sclc_jax.config import ModelConfig, from_dict

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


def fast_path(path: str | os.PathLike) -> pathlib.Path:
  """Where the fast decoder of a model lies, if it has one (`fast_file`)."""
  path = pathlib.Path(path)
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
    return pathlib.Path(name)
  raise ValueError(
    f"there is no model {name!r}; shipped are {', '.join(shipped) or 'none'}; "
    "else give the path of an .sclcm file."
  )


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
