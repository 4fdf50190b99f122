"""Tables from learned densities: those of the float model, everywhere alike."""

import jax
import numpy as np
import pytest

from sclc_jax.codec.entropy import tables
from sclc_jax.codec.entropy.range_coder import symbol_bits
from sclc_jax.codec.exact.control import Z_MAX
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.config import ModelConfig
from sclc_jax.export import density
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.nn.likelihoods import EntropyBottleneck


def _bottleneck(channels: int, seed: int) -> dict:
  """Parameters of densities that differ from channel to channel."""
  config = ModelConfig(N=channels, M=2)
  params = init_params(config, seed)["base"]["entropy_bottleneck"]
  rng = np.random.default_rng(seed)
  return {
    key: np.asarray(value + rng.normal(0, 0.5, value.shape), np.float32)
    for key, value in params.items()
  }


def test_masses_of_z_are_those_that_training_sees():
  params = _bottleneck(5, 1)
  masses = density.z_masses(params)
  positions = np.arange(-Z_MAX, Z_MAX + 1, dtype=np.float32)
  z = np.repeat(positions[:, None], 5, 1)
  wanted = EntropyBottleneck(5).apply({"params": params}, z)
  np.testing.assert_allclose(masses, wanted, atol=2e-6)
  np.testing.assert_allclose(masses.sum(0), 1, atol=1e-3)


def test_tables_of_z_cover_all_but_the_tails():
  params = _bottleneck(6, 2)
  masses = density.z_masses(params)
  built = density.z_tables(params)
  assert built.is_valid(6)
  lower, upper = density.z_support(masses)
  for channel in range(6):
    inside = slice(lower[channel] + Z_MAX, upper[channel] + Z_MAX + 1)
    assert 1 - 2 * 2.0**-10 <= masses[inside, channel].sum() <= 1 + 1e-9


def test_tables_of_z_are_tfcs_to_one_count():
  pytest.importorskip("tensorflow_compression")
  masses = density.z_masses(_bottleneck(20, 3))
  support = density.z_support(masses)
  ours, theirs = (
    tables.build_factorized_tables(masses, -Z_MAX, *support, quantise)
    for quantise in (tables.quantise_pmf, tables.tfc_quantise)
  )
  assert np.abs(ours.cdf - theirs.cdf).max() <= 20
  assert _rate(ours, masses) == pytest.approx(_rate(theirs, masses), rel=1e-4)


def _rate(tables, masses) -> float:
  """Expected bits of z a position."""
  symbols = np.arange(-Z_MAX, Z_MAX + 1, dtype=np.int32)
  return sum(
    masses[:, channel]
    @ symbol_bits(tables, symbols, np.full(symbols.size, channel))
    for channel in range(masses.shape[1])
  )


@pytest.mark.parametrize("name", ["hyperprior-mse", "cpu-small-context"])
def test_a_shipped_models_tables_cost_what_those_built_anew_do(name):
  model = find_model(name)
  bottleneck = model.params["base"]["entropy_bottleneck"]
  masses, built = density.z_masses(bottleneck), density.z_tables(bottleneck)
  np.testing.assert_array_equal(built.cdf_offset, model.z_tables.cdf_offset)
  stored = _rate(model.z_tables, masses)
  assert _rate(built, masses) == pytest.approx(stored, rel=1e-4)


def test_the_mixture_of_y_is_that_of_the_float_model():
  config = ModelConfig(N=4, M=6, density="mixture")
  params = jax.tree.map(np.asarray, init_params(config, 0))
  params["density"]["logits"] = np.array([0.5, -1.0, 2.0], np.float32)
  wanted = VariableRate(config).apply({"params": params}, method="y_mixture")
  for ours, theirs in zip(density.y_mixture(config, params), wanted):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
