"""`--config.KEY=VALUE` on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sclc_jax.config import ExperimentConfig, from_config_dict

_KINDS = {str: "a text", bool: "true or false", int: "a whole number",
          float: "a number"}  # fmt: skip


def _value_at(config, key: str) -> Any:
  """What an override replaces."""
  value, group = config, "the config"
  for part in key.split("."):
    if type(value) in _KINDS:
      raise ValueError(f"{group} is {_KINDS[type(value)]}; it has no keys.")
    if part not in value:
      raise ValueError(f"{group} has no {part!r}, only {', '.join(value)}.")
    value = value[part]
    group = part if group == "the config" else f"{group}.{part}"
  if type(value) not in _KINDS:
    raise ValueError(f"{key} is a group; replace one of {', '.join(value)}.")
  return value


def _parse(key: str, text: str, old: Any) -> Any:
  """The value of an override, of the same type as the one it replaces."""
  if isinstance(old, str):
    return text
  try:
    value = json.loads(text.lower())
  except json.JSONDecodeError:
    value = None
  if type(value) is int and type(old) is float:
    value = float(value)
  if type(value) is not type(old):
    raise ValueError(
      f"{key} takes {_KINDS[type(old)]}, as --config.{key}={json.dumps(old)}."
    )
  return value


def override(config, items: Sequence[str]) -> ExperimentConfig:
  """Applies `--config.KEY=VALUE` items to a ConfigDict and freezes it."""
  for item in items:
    key, equals, text = item.removeprefix("--config.").partition("=")
    if not (item.startswith("--config.") and equals):
      raise ValueError(f"unknown argument {item}; overrides are "
                       "--config.KEY=VALUE.")  # fmt: skip
    try:
      value = _parse(key, text, _value_at(config, key))
    except ValueError as error:
      raise ValueError(f"config override {item}: {error}") from None
    config.update_from_flattened_dict({key: value})
  return from_config_dict(config)
