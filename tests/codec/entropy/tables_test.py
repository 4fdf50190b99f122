import numpy as np
import pytest

from sclc_jax.codec.entropy import tables
from sclc_jax.codec.entropy.range_coder import symbol_bits
from sclc_jax.nn.likelihoods import ScaleMixture


def test_committed_gaussian_tables_are_tfcs():
  pytest.importorskip("tensorflow_compression")
  built = tables.build_gaussian_tables(tables.tfc_quantise)
  stored = tables.gaussian_tables()
  np.testing.assert_array_equal(built.cdf, stored.cdf)
  np.testing.assert_array_equal(built.cdf_offset, stored.cdf_offset)


def _assert_alike(built, reference):
  """Each count within 1, and the expected rate within 0.01 %."""
  np.testing.assert_array_equal(built.cdf_offset, reference.cdf_offset)
  for start, stop in zip(reference.starts[:-1], reference.starts[1:]):
    row = slice(start + 1, stop)
    ours, theirs = np.diff(built.cdf[row]), np.diff(reference.cdf[row])
    assert np.abs(ours - theirs).max() <= 1
    p = theirs / theirs.sum()
    rates = [-(p * np.log2(c / c.sum())).sum() for c in (ours, theirs)]
    assert abs(rates[0] / rates[1] - 1) < 1e-4


def test_our_builder_differs_from_tfcs_by_one_count_at_most():
  _assert_alike(tables.build_gaussian_tables(), tables.gaussian_tables())


@pytest.mark.parametrize("tail", [0.6, 0.97])
def test_it_does_so_where_many_counts_have_to_move(tail):
  pytest.importorskip("tensorflow_compression")
  rng = np.random.default_rng(0)
  masses = rng.gamma(0.3, 1, (80, 30)) * tail ** np.arange(80)[:, None]
  masses /= masses.sum(0)
  lower, upper = np.zeros(30, int), rng.integers(1, 80, 30)
  ours, theirs = (
    tables.build_factorized_tables(masses, 0, lower, upper, quantise)
    for quantise in (tables.quantise_pmf, tables.tfc_quantise)
  )
  _assert_alike(ours, theirs)


def test_every_row_spans_the_whole_range():
  stored = tables.gaussian_tables()
  assert stored.cdf_offset.size == 64
  for start, stop in zip(stored.starts[:-1], stored.starts[1:]):
    row = stored.cdf[start:stop]
    assert row[0] == -16 and row[1] == 0 and row[-1] == 2**16
    assert (np.diff(row[1:]) >= 1).all()


@pytest.mark.parametrize("multiples", [[1e-3, 1, 300], [1, 1, 1], [9, 9, 9]])
def test_any_mixture_gives_tables_that_the_coder_takes(multiples):
  weights = np.array([1e-7, 1 - 1e-7, 1e-7])
  built = tables.build_mixture_tables(weights, np.array(multiples, float))
  assert built.is_valid(64)


@pytest.mark.parametrize("index", [0, 12, 40, 52])
def test_mixture_tables_cost_what_the_density_says(index):
  logits = np.array([1.0, 0.5, -1.0], np.float32)
  log_multiples = np.log(np.array([0.5, 1.0, 2.0], np.float32))
  params = {"params": {"logits": logits, "log_multiples": log_multiples}}
  mixture = ScaleMixture().apply(params, method="mixture")
  built = tables.build_mixture_tables(*(np.asarray(a, float) for a in mixture))
  assert built.is_valid(64)
  rng = np.random.default_rng(index)
  scale = tables.SCALES[index]
  deviations = scale * np.exp(log_multiples)
  weights = np.asarray(mixture[0], float)
  which = rng.choice(3, 50_000, p=weights / weights.sum())
  y = np.round(rng.normal(0, deviations[which])).astype(np.int32)
  cost = symbol_bits(built, y, np.full(y.size, index, np.int32)).sum()
  likelihood = ScaleMixture().apply(params, y.astype(np.float32), scale)
  ideal = -np.log2(np.asarray(likelihood, float)).sum()
  assert abs(cost - ideal) < 0.002 * ideal + 64
