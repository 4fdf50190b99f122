"""The packed form holds all parameters, and gradients pass through it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sclc_jax.train import packing
from sclc_jax.train.packing import Packing


@pytest.fixture
def params(monkeypatch):
  monkeypatch.setattr(packing, "_LARGE", 12)
  rng = np.random.default_rng(0)
  shapes = {"kernel": (1, 3, 4), "bias": (4,), "scale": ()}
  return {
    part: {name: rng.normal(size=s).astype("f4") for name, s in shapes.items()}
    for part in ("one", "two")
  }


def test_unpacking_gives_back_what_was_packed(params):
  for apart in (lambda path: False, lambda path: path[-1] == "bias"):
    form = Packing.of(params, apart)
    packed = form.pack(params)
    assert len(jax.tree.leaves(packed)) == 3 + 2 * apart(("one", "bias"))
    jax.tree.map(np.testing.assert_array_equal, form.unpack(packed), params)


@pytest.mark.parametrize("only", ["large", "small"])
def test_a_form_without_large_or_small_parameters_lacks_that_key(only, params):
  name = {"large": "kernel", "small": "bias"}[only]
  params = {part: {name: leaves[name]} for part, leaves in params.items()}
  form = Packing.of(params)
  assert form.pack(params).keys() == {only} == form.each(len).keys()
  restored = form.unpack(form.pack(params))
  jax.tree.map(np.testing.assert_array_equal, restored, params)


def test_gradients_are_those_of_the_parameters(params):
  form = Packing.of(params)

  def loss(params):
    return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(params))

  packed = jax.grad(lambda packed: loss(form.unpack(packed)))(form.pack(params))
  expected = jax.grad(loss)(params)
  jax.tree.map(np.testing.assert_allclose, form.unpack(packed), expected)


def test_each_gives_every_element_the_number_of_its_parameter(params):
  form = Packing.of(params)
  numbers = {"kernel": 1.0, "bias": 2.0, "scale": 3.0}
  ones = form.pack(jax.tree.map(np.ones_like, params))
  product = jax.tree.map(
    jnp.multiply, ones, form.each(lambda path: numbers[path[-1]])
  )
  for leaves in form.unpack(product).values():
    for name, leaf in leaves.items():
      np.testing.assert_array_equal(leaf, numbers[name])
