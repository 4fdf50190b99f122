import numpy as np
import pytest

from sclc_jax.codec.exact import context
from sclc_jax.models.context import TAPS


@pytest.mark.parametrize("order", list(TAPS))
@pytest.mark.parametrize("shape", [(1, 1), (4, 8), (12, 4), (7, 9)])
def test_every_tap_lies_in_an_earlier_group_or_is_never_known(order, shape):
  groups = context.coding_groups(order, *shape)
  positions = np.concatenate(groups)
  assert sorted(positions) == list(range(shape[0] * shape[1]))
  when = np.empty(shape, int)
  for i, group in enumerate(groups):
    assert (np.diff(group) > 0).all()  # raster order inside
    when.ravel()[group] = i
  for (row, column), mine in np.ndenumerate(when):
    for i, j in TAPS[order]:
      if 0 <= row + i < shape[0] and 0 <= column + j < shape[1]:
        theirs = when[row + i, column + j]
        assert theirs < mine or (order == "checkerboard" and mine == 0)


def test_a_32_by_48_latent_has_141_wavefronts_and_two_passes():
  assert len(context.coding_groups("context", 32, 48)) == 141
  assert len(context.coding_groups("context", 48, 32)) == 173
  assert len(context.coding_groups("checkerboard", 32, 48)) == 2


def _layer(rng, blocks, inputs, outputs):
  # Channels from tiny to huge, and one that is all zero.
  kernel = rng.normal(size=(blocks, inputs, outputs))
  kernel *= 4.0 ** rng.integers(-4, 4, outputs)
  kernel[..., 0] = 0
  return kernel, rng.normal(size=outputs)


@pytest.mark.parametrize("count", [1, 5, 33])
@pytest.mark.parametrize("leaky", [False, True])
def test_dense_layer_is_exact_on_any_number_of_threads(
  count, leaky, monkeypatch
):
  rng = np.random.default_rng(0)
  kernel, bias = _layer(rng, 3, 64, 70)
  layer = context.quantise_dense(kernel, bias)
  largest = context.INPUT_MAX
  x = rng.integers(-largest, largest + 1, (3, count, 64)).astype(np.int16)
  x[:, 0] = largest * np.sign(layer.weight[:, 5])  # the extreme of a channel
  # Python's integers, of any size.
  acc = sum(u.astype(object) @ w.T for u, w in zip(x, layer.weight))
  value = acc * 2**20 // 2 ** (20 + layer.drop.astype(object)) + layer.bias
  sums = np.clip(value, -context.SCALE_MAX, context.SCALE_MAX)
  if leaky:
    value = np.maximum(value, value * 13 // 64)
  drop = context.SCALE_BITS - context.INPUT_BITS
  activated = np.clip((value + 2 ** (drop - 1)) // 2**drop, -largest, largest)
  for products in (2**62, 0):  # one thread, then all
    monkeypatch.setattr(context, "_PARALLEL", products)
    added = layer.bias[None]
    actual = context._run(layer, x, added, leaky=leaky, last=True)
    np.testing.assert_array_equal(actual, sums)
    actual = context._run(layer, x, added, leaky=leaky)
    actual = actual.swapaxes(0, 1).reshape(count, -1)
    np.testing.assert_array_equal(actual[:, :70], activated)
    assert not actual[:, 70:].any()


def test_quantised_weights_are_near_and_their_sums_fit():
  rng = np.random.default_rng(1)
  kernel, bias = _layer(rng, 2, 320, 40)
  layer = context.quantise_dense(kernel, bias)
  near = np.ldexp(layer.weight.astype(float), -layer.shift[:, None])
  error = np.abs(near.swapaxes(1, 2) - kernel).max((0, 1))
  assert (error <= np.abs(kernel).max((0, 1)) / 500).all()
  sums = np.abs(layer.weight.astype(np.int64)).sum(2) * context.INPUT_MAX
  assert sums.max() < 2**31


@pytest.mark.parametrize("bad", [np.nan, 1e7])
def test_weights_that_cannot_be_exact_are_refused(bad):
  kernel = np.zeros((1, 32, 3))
  kernel[0, 0, 1] = bad
  with pytest.raises(ValueError, match="export an earlier"):
    context.quantise_dense(kernel, np.zeros(3))
