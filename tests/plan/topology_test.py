"""Devices that a plan is for, and what is refused."""

import importlib.util

import jax
import pytest

from sclc_jax.plan import topology

has_libtpu = importlib.util.find_spec("libtpu") is not None


def test_the_local_devices_are_those_of_this_machine():
  topology.check("local", 1)
  assert topology.devices("local") == tuple(jax.devices())


@pytest.mark.parametrize("name", ["v5e-16", "v5e", "v9e:2x2", "v5e:2", ""])
def test_another_name_is_refused_with_those_that_are(name):
  with pytest.raises(ValueError, match="v4, v5e, v5p, v6e or tpu7x"):
    topology.check(name, 1)


def test_a_tpu_without_libtpu_is_refused_with_what_to_install(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ValueError, match=r"pip install 'sclc_jax\[plan\]'"):
    topology.check("v5e:2x2", 1)


if has_libtpu:

  def test_slices_multiply_the_chips(monkeypatch):
    for name, value in topology._VARIABLES.items():
      monkeypatch.setenv(name, value)
    assert len(topology.devices("v5e:2x4", 2)) == 16
    assert len(topology.devices("v4:2x2x4")) == 16

  def test_a_slice_that_cannot_be_is_refused(monkeypatch):
    for name, value in topology._VARIABLES.items():
      monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="cannot be"):
      topology.devices("v5e:3x5")
