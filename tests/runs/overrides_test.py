"""Overrides that cannot be are told with key, value and remedy."""

import pytest

from sclc_jax.config import default_config_dict
from sclc_jax.runs.overrides import override


def _leaves(config, prefix="") -> dict[str, object]:
  """{key: value} of a config without its groups."""
  leaves = {}
  for name, value in config.items():
    if hasattr(value, "items"):
      leaves |= _leaves(value, f"{prefix}{name}.")
    else:
      leaves[prefix + name] = value
  return leaves


_LEAVES = _leaves(default_config_dict().to_dict())


@pytest.mark.parametrize("text", ["fast", "null", "[1]", '"1"', "{}"])
def test_a_value_of_another_type_is_refused_with_key_value_and_remedy(text):
  words = {bool: "true or false", int: "a whole number", float: "a number"}
  for key, value in _LEAVES.items():
    if isinstance(value, str):
      continue
    with pytest.raises(ValueError) as error:
      override(default_config_dict(), [f"--config.{key}={text}"])
    message = str(error.value)
    assert f"{key}={text}: {key} takes {words[type(value)]}, as " in message
    remedy = message.rpartition(", as ")[2].removesuffix(".")
    assert override(default_config_dict(), [remedy])


@pytest.mark.parametrize(
  "item, words",
  [
    ("--config.optim.lrr=1", "optim has no 'lrr', only added_lr_factor, "),
    ("--config.optmi.lr=1", "the config has no 'optmi', only data, "),
    ("--config.optim=1", "optim is a group; replace one of added_lr_factor"),
    ("--config.optim.lr.peak=1", "optim.lr is a number; it has no keys"),
    ("--config.=1", "the config has no ''"),
    ("--lr=1", "overrides are --config.KEY=VALUE"),
  ],
)
def test_a_key_that_cannot_be_replaced_is_told(item, words):
  with pytest.raises(ValueError) as error:
    override(default_config_dict(), [item])
  assert item in str(error.value) and words in str(error.value)
