import numpy as np
import pytest

from sclc_jax.codec import tables


def test_committed_gaussian_tables_are_tfcs():
  pytest.importorskip("tensorflow_compression")
  built, stored = tables.build_gaussian_tables("tfc"), tables.gaussian_tables()
  np.testing.assert_array_equal(built.cdf, stored.cdf)
  np.testing.assert_array_equal(built.cdf_offset, stored.cdf_offset)


def test_numpy_builder_differs_by_one_count_at_most():
  built, stored = (
    tables.build_gaussian_tables("numpy"),
    tables.gaussian_tables(),
  )
  for i in range(64):
    row = slice(stored.starts[i] + 1, stored.starts[i + 1])
    ours, theirs = np.diff(built.cdf[row]), np.diff(stored.cdf[row])
    assert np.abs(ours - theirs).max() <= 1
    p = theirs / theirs.sum()
    rates = [-(p * np.log2(c / c.sum())).sum() for c in (ours, theirs)]
    assert abs(rates[0] / rates[1] - 1) < 1e-4


def test_every_row_spans_the_whole_range():
  stored = tables.gaussian_tables()
  assert stored.cdf_offset.size == 64
  for start, stop in zip(stored.starts[:-1], stored.starts[1:]):
    row = stored.cdf[start:stop]
    assert row[0] == -16 and row[1] == 0 and row[-1] == 2**16
    assert (np.diff(row[1:]) >= 1).all()
