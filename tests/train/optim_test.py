"""Limits take the gradient of a whole batch; what updates are relative to."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, path_aware_map

from sclc_jax.config import ModelConfig, from_dict
from sclc_jax.models.variable_rate import params_shapes
from sclc_jax.nn.gdn import GDN, LIMITS
from sclc_jax.nn.initial import initial_params
from sclc_jax.train.optim import hold_at_limits, optimizer
from sclc_jax.train.packing import Packing
from sclc_jax.train.stages import stages


@pytest.mark.parametrize("inverse", [False, True])
def test_gradients_of_parts_add_up_where_gdn_is_below_its_limits(inverse):
  layer = GDN(inverse)
  x = jax.random.normal(jax.random.key(0), (8, 5, 4))
  params = initial_params(layer, 1, x)
  params = jax.tree.map(lambda p: p - 0.2, params)
  target = jax.random.normal(jax.random.key(2), x.shape)

  @jax.jit
  def gradient(x, target):
    def loss(params):
      return jnp.mean((layer.apply({"params": params}, x) - target) ** 2)

    return jax.grad(loss)(params)

  whole = gradient(x, target)
  parts = [gradient(x[i : i + 1], target[i : i + 1]) for i in range(8)]
  mean = jax.tree.map(lambda *leaves: jnp.mean(jnp.stack(leaves), 0), *parts)
  gamma = np.stack([part["gamma"] for part in parts])
  below = params["gamma"] < LIMITS["gamma"]
  assert np.any(below & (gamma.min(0) < 0) & (gamma.max(0) > 0))
  for name, value in mean.items():
    np.testing.assert_allclose(value, whole[name], rtol=1e-4, atol=1e-10)


def test_no_step_lowers_what_is_below_its_limit():
  config = ModelConfig(N=2, M=3, levels=2, fast=True)
  shapes = params_shapes(dataclasses.replace(config, density="mixture"))
  params = jax.tree.map(lambda leaf: -np.ones(leaf.shape), shapes)
  packs = Packing.of(shapes)

  def held_at(params, grads):
    grads = hold_at_limits(packs, packs.pack(params), packs.pack(grads))
    return packs.unpack(grads)

  up = held_at(params, params)  # a descent step would raise all
  jax.tree.map(np.testing.assert_array_equal, up, params)
  ones = jax.tree.map(lambda leaf: -leaf, params)
  down = flatten_dict(held_at(params, ones))
  held = {path for path, leaf in down.items() if not np.any(leaf)}
  assert {path for path in held if path[0] in ("quantizer", "selector")} == {
    ("quantizer", "qv"), ("quantizer", "iqv"), ("selector", "gamma")
  }  # fmt: skip
  others = {path for path in held if path[0] not in ("quantizer", "selector")}
  assert others and others == {
    path for path in down if "gdn" in path[-2] and path[-1] in LIMITS
  }
  inside = path_aware_map(lambda _, leaf: leaf + 2, params)
  free = held_at(inside, ones)
  jax.tree.map(np.testing.assert_array_equal, free, ones)


def test_updates_of_the_tables_alone_are_relative_to_their_size():
  config = from_dict(
    {
      "model": {"N": 2, "M": 3, "levels": 2, "fast": True},
      "stages": {"selective": {"steps": 1}},
    }
  )
  shapes = params_shapes(config.model)
  packs = Packing.of(shapes)
  tx = optimizer(config, stages(config)[0], packs)

  def updates(size):
    params = jax.tree.map(lambda leaf: np.full(leaf.shape, size), shapes)
    params = packs.pack(params)
    grads = jax.tree.map(jnp.ones_like, params)
    update, _ = tx.update(grads, tx.init(params), params)
    return packs.unpack(update)

  ratios = jax.tree.map(np.divide, updates(2.0), updates(1.0))
  tables = {("quantizer", "qv"), ("quantizer", "iqv"), ("selector", "gamma")}
  for path, ratio in flatten_dict(ratios).items():
    assert ratio == pytest.approx(2 if path in tables else 1), path
