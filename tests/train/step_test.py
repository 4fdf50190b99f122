"""Each kind of stage against plain gradients of the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from runs import batches

from sclc_jax.config import DECODER_PARTS, from_dict, stage_model
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.train import optim, step
from sclc_jax.train.loss import lagrange_weights, rate_distortion
from sclc_jax.train.optim import split
from sclc_jax.train.stages import stages
from sclc_jax.train.state import new_state, pack_state, unpack_state

_LARGE = 450  # elements of a kernel, at this width


def _config(stage, **settings):
  return from_dict(
    {
      "init_from": "cpu-small",  # not read in these tests
      "init_parts": "quantized" if stage == "quantization" else "selective",
      "model": {
        "N": 4, "M": 6, "levels": 2, "init": "wavelet", "density": "mixture",
        "importance_bias": 0.1, "rate_weight": 0.04,
      },
      "stages": {stage: {"steps": 3, **settings}},
      "optim": {"clip_norm": 1.0, "ema_decay": 0.9},
      "data": {"batch_size": 2, "crop_size": 64},
    }
  )  # fmt: skip


KINDS = {
  "quantization": {},
  "quantization, mixed": {"rounding": "mixed"},
  "quantization, small": {"parts": "small"},
  "selective": {},
  "selective, curves": {"parts": "selector,qv"},
  "decoder": {
    "parts": DECODER_PARTS, "rounding": "coded", "mask": "inference",
  },
  "decoder, small": {
    "parts": f"{DECODER_PARTS},small", "rounding": "coded",
    "mask": "inference",
  },
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
  monkeypatch.setattr(optim, "LARGE_KERNEL", _LARGE)
  config = _config(request.param.partition(",")[0], **KINDS[request.param])
  stage = stages(config)[0]
  return config, stage, new_state(config, stage, None)


def _trains(settings, path, leaf) -> bool:
  """What the docstring of `StageConfig.parts` says, put down once more."""
  names = settings.parts.split(",")
  if "small" in names and path[-1] == "kernel" and leaf.size >= _LARGE:
    return False
  return settings.parts in ("all", "small") or bool({*names} & {*path})


def test_gradients_are_those_of_the_loss_with_frozen_parts_held_out(kind):
  config, stage, state = kind
  images, indices = next(batches(0)), jnp.arange(2)
  trained, frozen = split(config, stage, state["params"])
  loss_fn = step.make_loss(config, stage)
  (loss, _), grads = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))(
    trained, frozen, images, 5, indices
  )
  settings = getattr(config.stages, stage.name)
  model = VariableRate(
    stage_model(config, stage.name), settings.rounding, settings.mask
  )

  def plain(params):
    """All examples at once, and all parameters."""
    key = jax.random.fold_in(jax.random.key(config.seed), 5)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(indices)
    levels = jnp.array([[0, 0], [1, 1]])
    lmbdas = lagrange_weights(config.train, 2)
    return rate_distortion(
      model, params, images, levels, keys, lmbdas, np.ones(2)
    )[0]

  expected_loss, expected = jax.jit(jax.value_and_grad(plain))(state["params"])
  np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
  leaves = flatten_dict(state["params"])
  expected = {
    path: grad
    for path, grad in flatten_dict(expected).items()
    if _trains(settings, path, leaves[path])
  }
  grads = flatten_dict(grads)
  assert grads.keys() == expected.keys()
  assert any(map(np.any, grads.values()))
  for path, grad in grads.items():
    size = np.abs(expected[path]).max()
    np.testing.assert_allclose(
      grad, expected[path], rtol=1e-3, atol=1e-4 * size, err_msg=str(path)
    )


@pytest.mark.parametrize(
  "kind",
  ["quantization, small", "selective, curves", "decoder, small"],
  indirect=True,
)
def test_frozen_parameters_and_their_averages_stay_bit_exact(kind):
  config, stage, state = kind
  update = jax.pmap(step.make_step(config, stage), axis_name="devices")
  after = pack_state(config, stage, state)
  after = jax.tree.map(lambda leaf: leaf[None], after)
  one = np.ones(1, np.int32)
  for number, images in zip(range(3), batches(0)):
    images = images[None]
    after, _ = update(after, images, number * one, np.arange(2)[None], 0 * one)
  after = jax.tree.map(lambda leaf: leaf[0], after)
  after = unpack_state(config, stage, after)
  settings = getattr(config.stages, stage.name)
  moved = set()
  for path, old in flatten_dict(state["params"]).items():
    for tree in (after["params"], after["ema"]):
      new = flatten_dict(tree)[path]
      if not _trains(settings, path, old):
        np.testing.assert_array_equal(new, old, err_msg=str(path))
      elif np.any(new != old):
        moved.add(path[:2])
  assert len(moved) > 2


def test_a_stage_that_trains_little_computes_little():
  """No gradient of the analysis is paid for where only the decoder trains."""

  def flops(parts):
    config = _config("decoder", parts=parts)
    stage = stages(config)[0]
    trained, frozen = split(
      config, stage, new_state(config, stage, None)["params"]
    )
    gradient = jax.grad(step.make_loss(config, stage), has_aux=True)
    args = trained, frozen, next(batches(0)), 0, jnp.arange(2)
    cost = jax.jit(gradient).lower(*args).compile().cost_analysis()
    return (cost[0] if isinstance(cost, list) else cost)["flops"]

  assert flops("synthesis") < 0.9 * flops("synthesis,analysis")
  assert flops("iqv") < 0.9 * flops("synthesis")
