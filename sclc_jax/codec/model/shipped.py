"""The models in the package: their files and their cards."""

from __future__ import annotations

import importlib.resources
import json
import pathlib
from typing import Any

from sclc_jax.codec.model.tensor_file import read_about

DEFAULT_MODEL = "hyperprior-mse"


def shipped_models() -> dict[str, pathlib.Path]:
  """Names and files of the models in the package."""
  folder = importlib.resources.files("sclc_jax.weights")
  return {
    pathlib.Path(str(entry)).stem: pathlib.Path(str(entry))
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sclcm")
  }


def shipped_file(fingerprint: str) -> tuple[str, pathlib.Path] | None:
  """Name and file of the one that has this fingerprint, if any."""
  for name, path in shipped_models().items():
    if read_about(path)["fingerprint"] == fingerprint:
      return name, path
  return None


def read_card(name: str) -> dict[str, Any]:
  """What is known of a shipped model beside its file.

  Returns:
    `purpose`, in one line; `curve`, with `columns` and `rows` of numbers;
    `bd_rate_percent` against other codecs; `hours`; `parameters`; and
    `provenance`, the runs that trained it, whose `config` has what differs from
    the defaults, by dotted key.
  """
  return json.loads(shipped_models()[name].with_suffix(".json").read_text())
