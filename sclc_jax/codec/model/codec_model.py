"""A frozen model: the arrays that coding uses, and their fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
from flax import traverse_util

from sclc_jax.codec.entropy.range_coder import RangeTables
from sclc_jax.codec.entropy.tables import gaussian_tables
from sclc_jax.codec.exact.context import ContextPath
from sclc_jax.codec.exact.control import ControlPath
from sclc_jax.codec.exact.lowpass import LowPass
from sclc_jax.codec.model.preview_file import Preview
from sclc_jax.codec.stream.bitstream import FINGERPRINT_BYTES
from sclc_jax.config import ModelConfig, Objective

# Stored whatever they are, as the first models did.
_FIRST_KEYS = frozenset(
  ("base", "N", "M", "levels", "adaptive", "selective", "init",
   "importance_bias", "table_init")
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class CodecModel:
  """A frozen model.

  Attributes:
    config: what is built.
    params: nested dict of float32 parameters (rounded to float16 once).
    control: the integer control path.
    z_tables: range coder tables of z, one a channel.
    qv: float32 [Q, M], what y is divided by at each quality step.
    iqv: float32 [Q, M], what symbols are multiplied by.
    fingerprint: first bytes of the SHA-256 of all of it.
    context: the integer context model, of the bases that have one.
    fitted: tables of y of this model's own, where they are not the Gaussian
      ones that all models share.
    lowpass: which channels of y are predicted from their neighbours, and how;
      the hyperprior base alone has it, or None.
    objective: what it was trained for, which latent refinement needs; None
      where that is not known. No decoder needs it, so the fingerprint does not
      cover it.
    provenance: the runs that trained it, the first one first; nor does the
      fingerprint cover these. A run is a dict that JSON can hold:
      `config` as nested dicts, `stages` with the steps `done` and `planned` of
      each, `parent` that it started from, `data`, `hardware`, `versions`, and
      `log` with `columns` and `rows`; what is not known is left out.
    preview: what `codec.pixels.preview` needs, or None. It lies in a file
      beside the model's, and the fingerprint does not cover it either.
    fast: nested dict of float32 parameters of the shallow synthesis, None where
      it is not there or was not asked for. No symbol depends on it: neither
      the fingerprint nor the model's own file has it (`fast_file`).
  """

  config: ModelConfig
  params: dict[str, Any]
  control: ControlPath
  z_tables: RangeTables
  qv: np.ndarray
  iqv: np.ndarray
  fingerprint: bytes
  context: ContextPath | None = None
  fitted: RangeTables | None = None
  lowpass: LowPass | None = None
  objective: Objective | None = None
  provenance: tuple[dict[str, Any], ...] = ()
  preview: Preview | None = None
  fast: dict[str, Any] | None = None

  def __str__(self) -> str:
    config = self.config
    return (
      f"{config.base} N={config.N} M={config.M}, model {self.fingerprint.hex()}"
    )

  @property
  def y_tables(self) -> RangeTables:
    """Range coder tables of y, one a scale of `tables.SCALES`."""
    return gaussian_tables() if self.fitted is None else self.fitted

  @property
  def top_quality(self) -> int:
    """The highest quality level."""
    return self.config.levels

  @property
  def is_single_rate(self) -> bool:
    """Whether files of every quality are alike: nothing depends on it."""
    return self.config.is_single_rate

  @property
  def parts(self) -> list[str]:
    """What the model has, in words."""
    own = [] if self.fitted is None else ["tables of y of its own"]
    if self.lowpass is not None:
      own.append(f"{self.lowpass.channels.size} channels of y predicted")
    return self.config.describe_parts() + own

  @property
  def rates(self) -> str:
    """Which qualities differ, in words."""
    return self.config.describe_rates()


def flatten(tree: Any, prefix: str) -> dict[str, np.ndarray]:
  """The arrays of a nested dict by their paths, `prefix/key/key`, sorted."""
  flat = traverse_util.flatten_dict({prefix: tree}, sep="/")
  return {path: np.ascontiguousarray(flat[path]) for path in sorted(flat)}


def unflatten(flat: dict[str, np.ndarray]) -> dict[str, Any]:
  """The nested dict of arrays by their paths."""
  return traverse_util.unflatten_dict(flat, sep="/")


def model_tensors(model: CodecModel) -> dict[str, np.ndarray]:
  """All arrays of a model by the names that its file gives them."""
  flat = {
    path: value.astype(np.float16)
    for path, value in flatten(model.params, "params").items()
  }
  convs = dict(enumerate(model.control.convs))
  if model.control.head is not None:
    convs["head"] = model.control.head
  if model.context is not None:
    for i, layer in enumerate(model.context.layers):
      convs[f"context_{i}"] = layer
  for name, conv in convs.items():
    for field in dataclasses.fields(conv):
      flat[f"control/{name}/{field.name}"] = getattr(conv, field.name)
  flat["control/thresholds"] = model.control.thresholds
  flat["control/reciprocals"] = model.control.reciprocals
  flat["z_tables/cdf"] = model.z_tables.cdf
  flat["z_tables/cdf_offset"] = model.z_tables.cdf_offset
  flat["steps"] = np.stack([model.qv, model.iqv])
  if model.fitted is not None:
    flat["y_tables/cdf"] = model.fitted.cdf
    flat["y_tables/cdf_offset"] = model.fitted.cdf_offset
  if model.lowpass is not None:
    for field in dataclasses.fields(model.lowpass):
      flat[f"lowpass/{field.name}"] = getattr(model.lowpass, field.name)
  return flat


def stored_config(config: ModelConfig) -> dict[str, Any]:
  """The config as stored: keys of later releases only where they are set.

  So a new key does not change the fingerprint of older models.
  """
  return {
    field.name: getattr(config, field.name)
    for field in dataclasses.fields(ModelConfig)
    if field.name in _FIRST_KEYS or getattr(config, field.name) != field.default
  }


def fingerprint_of(
  config: ModelConfig, tensors: dict[str, np.ndarray]
) -> bytes:
  """First bytes of the SHA-256 of a model's config and `model_tensors`."""
  digest = hashlib.sha256(
    json.dumps(stored_config(config), sort_keys=True).encode()
  )
  for name in sorted(tensors):
    value = np.ascontiguousarray(tensors[name])
    digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
    digest.update(value.tobytes())
  return digest.digest()[:FINGERPRINT_BYTES]


def with_fingerprint(model: CodecModel) -> CodecModel:
  """The model, with the fingerprint of what it holds now."""
  return dataclasses.replace(
    model, fingerprint=fingerprint_of(model.config, model_tensors(model))
  )
