"""The shallow synthesis of a model, in a file beside the model's own.

No symbol depends on it, so that a model's fingerprint does not cover it, and
who does not ask for it never reads it: `photo.sclcm` has it in
`photo.fast.sclcm` (docs/format.md).
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
from flax import traverse_util

from sclc_jax.codec.model.codec_model import CodecModel, flatten, unflatten
from sclc_jax.codec.model.shipped import fast_path
from sclc_jax.codec.model.tensor_file import (
  checked,
  read_about,
  read_tensors,
  write_tensors,
)
from sclc_jax.models.variable_rate import params_shapes

VERSION = 1
_PREFIX = "fast"


def save_fast(model: CodecModel, path: str | os.PathLike) -> None:
  """Writes the shallow synthesis of a model, whole or not at all."""
  about = {"version": VERSION, "fast_of": model.fingerprint.hex()}
  tensors = {
    name: value.astype(np.float16)
    for name, value in flatten(model.fast, _PREFIX).items()
  }
  write_tensors(path, about, tensors)


def with_fast(model: CodecModel, path: str | os.PathLike) -> CodecModel:
  """The model with its shallow synthesis.

  Args:
    model: as read.
    path: of its own file.

  Raises:
    ValueError: there is none, or it is damaged or another model's.
  """
  path = fast_path(path)
  if not path.is_file():
    raise ValueError(
      f"model {model.fingerprint.hex()} has no fast decoder: there is no "
      f"{path}. Leave --fast out, or train one "
      "with 'sclc train --config fast'."
    )
  with checked(path):
    about = read_about(path)
    if about["version"] > VERSION:
      raise ValueError(
        f"{path} has format {about['version']}, this program reads up to "
        f"{VERSION}; update sclc_jax."
      )
    if about["fast_of"] != model.fingerprint.hex():
      raise ValueError(
        f"{path} goes with model {about['fast_of']}, not with "
        f"{model.fingerprint.hex()}; export both from one run."
      )
    return dataclasses.replace(model, fast=_params(model, read_tensors(path)))


def _params(
  model: CodecModel, tensors: dict[str, np.ndarray]
) -> dict[str, Any]:
  """Checked against what the synthesis takes."""
  config = dataclasses.replace(model.config, fast=True)
  wanted = traverse_util.flatten_dict(
    {_PREFIX: params_shapes(config)["fast_synthesis"]}, sep="/"
  )
  for name in wanted.keys() | tensors.keys():
    if wanted[name].shape != tensors[name].shape:
      raise KeyError(name)
  floats = {name: value.astype(np.float32) for name, value in tensors.items()}
  return unflatten(floats)[_PREFIX]

