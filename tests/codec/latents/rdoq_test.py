import numpy as np
import pytest

from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.codec.entropy.range_coder import symbol_bits
from sclc_jax.codec.entropy.tables import SCALES, gaussian_tables
from sclc_jax.codec.latents.rdoq import RDOQ
from sclc_jax.config import BASES
from sclc_jax.metrics import bd_rate, psnr_db


def _draw(seed=0, count=20_000):
  """Values that look like y, some of them far out, and their tables."""
  rng = np.random.default_rng(seed)
  index = rng.integers(0, 64, count).astype(np.int32)
  values = rng.laplace(0, 1.5 * SCALES[index])
  return values.astype(np.float32), index


def test_without_a_weight_it_rounds_to_the_nearest():
  values, index = _draw()
  actual = RDOQ(gaussian_tables(), 0)(values, index)
  np.testing.assert_array_equal(actual, np.round(values))


@pytest.mark.parametrize("weight", [0.02, 0.04, 0.1])
def test_it_takes_the_cheaper_of_both_neighbours(weight):
  tables = gaussian_tables()
  values, index = _draw()
  near = np.abs(values) < 15  # beyond, the extra width is that of 15
  values, index = values[near], index[near]
  nearest = np.round(values)
  smaller = nearest - np.sign(nearest)

  def cost(symbols):
    bits = symbol_bits(tables, symbols.astype(np.int32), index)
    return (values - symbols) ** 2 + weight * bits

  actual = RDOQ(tables, weight)(values, index)
  assert 0 < np.mean(actual != nearest) < 0.2
  # What lies above an integer is not taken for the one below it.
  above = np.abs(values) >= np.abs(nearest)
  np.testing.assert_array_equal(actual[above], nearest[above])
  clear = ~above & (np.abs(cost(smaller) - cost(nearest)) > 1e-5)
  best = np.where(cost(smaller) < cost(nearest), smaller, nearest)
  np.testing.assert_array_equal(actual[clear], best[clear])


@pytest.mark.parametrize("base", BASES)
def test_every_decoder_reads_what_any_weight_wrote(base, model_of, photo):
  plain, ours = (Codec(model_of(base), rate_weight=w) for w in (0, 0.1))
  files = [codec.compress(photo, 7.5) for codec in (plain, ours)]
  assert len(files[1]) < len(files[0])
  for data in files:
    np.testing.assert_array_equal(plain.decompress(data), ours.decompress(data))


def test_it_pays_with_the_trained_model(photo):
  curves = []
  for weight in (0, None):  # the model's own
    codec = load_codec(rate_weight=weight)
    analysis = codec.analyse(photo)
    for measured in (
      [len(codec.encode(analysis, level)) for level in range(1, 9)],
      [psnr_db(photo, codec.reconstruct(analysis, level))
       for level in range(1, 9)],
    ):  # fmt: skip
      curves.append(np.array(measured, float))
  assert bd_rate(*curves) < 0
