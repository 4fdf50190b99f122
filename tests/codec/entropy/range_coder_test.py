import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from sclc_jax.codec.entropy import range_coder
from sclc_jax.codec.entropy.range_coder import (
  CorruptStreamError,
  Loops,
  get_engine,
  symbol_bits,
)
from sclc_jax.codec.entropy.tables import SCALES, gaussian_tables

_MANY = 10**12
_PYTHON = range_coder._Portable(Loops(_MANY))
_COMPILED = range_coder._Portable(Loops(0))
_OURS = pytest.mark.parametrize(
  "engine", [_PYTHON, _COMPILED], ids=["python", "compiled"]
)
_pairs = st.lists(
  st.tuples(
    st.one_of(st.integers(-3, 3), st.integers(-(2**29), 2**29)),
    st.integers(0, 63),
  ),
  max_size=300,
)


def _arrays(pairs):
  table = np.array(pairs, np.int64).reshape(-1, 2)
  return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32)


@_OURS
@hypothesis.settings(deadline=None, max_examples=200)
@hypothesis.given(pairs=_pairs)
def test_every_symbol_survives_the_portable_coder(engine, pairs):
  symbols, indexes = _arrays(pairs)
  data = engine.encode(gaussian_tables(), symbols, indexes)
  decoded = engine.decode(gaussian_tables(), data, indexes)
  np.testing.assert_array_equal(decoded, symbols)


@_OURS
@hypothesis.settings(deadline=None, max_examples=200)
@hypothesis.given(pairs=_pairs)
def test_both_engines_write_the_same_bytes(engine, pairs):
  pytest.importorskip("tensorflow_compression")
  symbols, indexes = _arrays(pairs)
  theirs = get_engine("tfc")
  data = engine.encode(gaussian_tables(), symbols, indexes)
  assert data == theirs.encode(gaussian_tables(), symbols, indexes)
  decoded = theirs.decode(gaussian_tables(), data, indexes)
  np.testing.assert_array_equal(decoded, symbols)


@hypothesis.settings(deadline=None, max_examples=200)
@hypothesis.given(_pairs)
def test_symbols_cost_at_least_what_the_coder_writes(pairs):
  # No bound below: a lucky string ends early, as zeros need not be written.
  symbols, indexes = _arrays(pairs)
  data = get_engine("portable").encode(gaussian_tables(), symbols, indexes)
  bits = symbol_bits(gaussian_tables(), symbols, indexes).sum()
  assert 8 * len(data) - bits <= 24 + 0.001 * bits


def test_many_symbols_cost_what_the_coder_writes():
  rng = np.random.default_rng(1)
  indexes = rng.integers(0, 64, 20_000).astype(np.int32)
  symbols = np.round(rng.normal(0, 1.5, 20_000) * SCALES[indexes])
  symbols = symbols.astype(np.int32)  # wider than their tables: some escape
  data = get_engine("portable").encode(gaussian_tables(), symbols, indexes)
  bits = symbol_bits(gaussian_tables(), symbols, indexes).sum()
  assert -16 <= 8 * len(data) - bits <= 24 + 0.001 * bits


@hypothesis.settings(deadline=None, max_examples=200)
@hypothesis.given(_pairs)
def test_compiled_loops_do_what_they_do_as_python(pairs):
  symbols, indexes = _arrays(pairs)
  data = _PYTHON.encode(gaussian_tables(), symbols, indexes)
  assert data == _COMPILED.encode(gaussian_tables(), symbols, indexes)
  damaged = bytes(byte ^ 37 * (i % 3 == 1) for i, byte in enumerate(data))
  results = []
  for engine in (_PYTHON, _COMPILED):
    try:
      out = engine.decode(gaussian_tables(), damaged, indexes).tolist()
    except CorruptStreamError:
      out = None
    results.append(out)
  assert results[0] == results[1]


def test_what_python_has_not_the_patience_for_is_compiled():
  loops = Loops(250)
  assert loops.compiled_for(200) is None
  assert loops.compiled_for(0) is None
  assert loops.compiled_for(100) is not None
  assert loops.compiled_for(0) is not None


@pytest.mark.parametrize("name", ["python", "compiled", "handed over", "tfc"])
def test_symbols_decoded_in_parts_are_those_decoded_at_once(name):
  if name == "tfc":
    pytest.importorskip("tensorflow_compression")
    engine = get_engine("tfc")
  else:  # handed over between parts
    patience = {"python": _MANY, "compiled": 0, "handed over": 5000}[name]
    engine = range_coder._Portable(Loops(patience))
  rng = np.random.default_rng(0)
  indexes = rng.integers(0, 64, 3000).astype(np.int32)
  symbols = np.round(rng.standard_t(1, 3000) * SCALES[indexes])
  symbols = np.clip(symbols, -(2**24), 2**24).astype(np.int32)
  data = engine.encode(gaussian_tables(), symbols, indexes)
  read = engine.decoder(gaussian_tables(), data)
  cuts = np.sort(rng.integers(0, 3000, 200))  # some parts are empty
  parts = [read(part) for part in np.split(indexes, cuts)]
  np.testing.assert_array_equal(np.concatenate(parts), symbols)


@_OURS
@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(data=st.binary(max_size=200))
def test_any_bytes_end_in_symbols_or_a_clear_error(engine, data):
  indexes = np.arange(500, dtype=np.int32) % 64
  try:
    out = engine.decode(gaussian_tables(), data, indexes)
  except CorruptStreamError as error:
    assert "damaged" in str(error)
  else:
    assert out.shape == (500,)


def test_coded_size_is_near_the_entropy():
  rng = np.random.default_rng(0)
  indexes = rng.integers(10, 64, 50_000).astype(np.int32)
  symbols = np.round(rng.normal(size=indexes.size) * SCALES[indexes])
  data = get_engine("portable").encode(
    gaussian_tables(), symbols.astype(np.int32), indexes
  )
  from scipy.special import ndtr

  scale = SCALES[indexes]
  mass = ndtr((0.5 - abs(symbols)) / scale) - ndtr(
    (-0.5 - abs(symbols)) / scale
  )
  bits = -np.log2(mass).sum()
  assert 0.995 * bits < 8 * len(data) < 1.005 * bits


def test_unknown_engine_is_named():
  with pytest.raises(ValueError, match="'fast'"):
    get_engine("fast")
