"""A learned density of y, from training to the bytes of a file."""

import jax
import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.entropy.tables import gaussian_tables
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.config import BASES, ModelConfig
from sclc_jax.export.density import y_mixture
from sclc_jax.export.freeze import freeze
from sclc_jax.export.table_fit import fit_tables
from sclc_jax.models.context import TAPS
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.nn.likelihoods import to_bits


def _model(base, drift=1.0):
  config = ModelConfig(
    base,
    6,
    12,
    init="wavelet",
    table_init="geometric",
    density="mixture",
    importance_bias=0.4,
  )
  params = jax.tree.map(np.asarray, init_params(config, 0))
  params["density"]["logits"] = np.array([0.5, 0.0, -1.0], np.float32)
  params["density"]["log_multiples"] = np.log(
    np.array([0.3, 1.0, 2.5], np.float32) / drift
  )
  gives = "context_model" if base in TAPS else "hyper_synthesis"
  layer = params["base"][gives]["conv_2"]
  for key, value in layer.items():
    layer[key] = np.concatenate(
      [value[..., :-12], value[..., -12:] * drift], -1
    )
  return freeze(config, params)


@pytest.fixture(scope="module")
def mixture_model():
  return _model("hyperprior")


def test_its_tables_travel_in_the_model_file(mixture_model, photo, tmp_path):
  assert mixture_model.y_tables.cdf.size != gaussian_tables().cdf.size
  save_model(mixture_model, tmp_path / "m.sclcm")
  read = read_model(tmp_path / "m.sclcm")
  assert read.fingerprint == mixture_model.fingerprint
  assert read.config.density == "mixture"
  data = Codec(mixture_model).compress(photo, 5.5)
  assert Codec(read).compress(photo, 5.5) == data


@pytest.mark.parametrize("base", BASES)
def test_scales_that_drifted_in_training_are_the_same_model(base):
  model = _model(base)
  weights, multiples = y_mixture(model.config, model.params)
  assert 0.35 < np.sqrt(weights @ multiples**2) < 0.71
  drifted = _model(base, drift=64.0)
  assert drifted.fingerprint == model.fingerprint


@pytest.mark.parametrize("base", BASES)
def test_files_of_every_base_come_back(base, photo):
  codec = Codec(_model(base))
  analysis = codec.analyse(photo[:64, :64])
  for quality in (1, 4.25, 8):
    data = codec.encode(analysis, quality)
    np.testing.assert_array_equal(
      codec.symbols(data).y_hat, codec.y_hat(analysis, quality)
    )


@pytest.mark.parametrize("level", [1, 4, 8])
def test_bytes_are_those_that_the_density_says(mixture_model, photo, level):
  codec, config = Codec(mixture_model), mixture_model.config
  actual = codec.symbols(data := codec.compress(photo, level))
  model, params = VariableRate(config), {"params": mixture_model.params}
  z = actual.z[None].astype(np.float32)
  scale, _ = model.apply(params, z, method="prior")
  qv, iqv = mixture_model.qv[actual.q], mixture_model.iqv[actual.q]
  y = actual.y_hat / iqv
  bits = to_bits(
    model.apply(params, y, scale[0] / qv, method="y_likelihood")
  )[actual.mask].sum()
  assert actual.y.any()
  size = codec.info(data)["y_bytes"]
  assert abs(size - bits / 8) < 0.005 * bits / 8 + 64


def test_counts_refine_it(mixture_model, photo):
  model, saved = fit_tables(mixture_model, [photo])
  assert 0 < saved < 0.8
  assert fit_tables(model, [photo])[0].fingerprint == model.fingerprint
