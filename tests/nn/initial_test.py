import hashlib

import jax
import numpy as np
import pytest

from sclc_jax.config import ModelConfig
from sclc_jax.models.variable_rate import init_params, params_shapes
from sclc_jax.nn import wavelet
from sclc_jax.nn.initial import xavier

# Of the bytes of all leaves, so that both environments are held to the same.
_DIGESTS = {
  "hyperprior": "6c527cc50b869455",
  "mean_scale": "d005a99dfcc5193f",
  "checkerboard": "eb9a4192925b6b33",
}
_WAVELET = ModelConfig("hyperprior", 8, 12, init="wavelet")


def _digest(params) -> str:
  leaves = jax.tree.leaves(jax.device_get(params))
  return hashlib.sha256(b"".join(x.tobytes() for x in leaves)).hexdigest()[:16]


@pytest.mark.parametrize("base, digest", _DIGESTS.items())
def test_initial_parameters_are_the_same_on_every_machine(base, digest):
  config = ModelConfig(
    base, 64, 128, init="wavelet", table_init="geometric", density="mixture",
    hyper_input="signed" if base == "hyperprior" else "both",
  )  # fmt: skip
  assert _digest(init_params(config, 3)) == digest


def test_parameters_differ_by_seed_and_path_and_are_drawn_alike_again():
  first, again, other = (init_params(_WAVELET, seed) for seed in (1, 1, 2))
  assert _digest(first) == _digest(again) != _digest(other)
  hyper = first["base"]["hyper_analysis"]
  same = np.array(hyper["conv_1"]["kernel"] == hyper["conv_2"]["kernel"])
  assert same.mean() < 0.01


def test_a_part_starts_alike_whatever_is_built_beside_it():
  config = ModelConfig("hyperprior", 8, 12, adaptive=False, selective=False)
  less, more = init_params(config, 0), init_params(ModelConfig(N=8, M=12), 0)
  assert _digest(less["base"]) == _digest(more["base"])


@pytest.mark.parametrize("base", _DIGESTS)
def test_shapes_are_those_of_the_parameters_and_all_are_finite(base):
  config = ModelConfig(base, 8, 12)
  params = init_params(config, 0)
  shapes = params_shapes(config)
  assert jax.tree.structure(params) == jax.tree.structure(shapes)
  for leaf, shape in zip(jax.tree.leaves(params), jax.tree.leaves(shapes)):
    assert (leaf.shape, leaf.dtype) == (shape.shape, np.float32)
    assert np.all(np.isfinite(leaf))


def test_xavier_is_uniform_with_the_variance_of_glorot_and_bengio():
  drawn = xavier(np.random.default_rng(0), (5, 5, 64, 96))
  variance = 2 / (25 * (64 + 96))
  np.testing.assert_allclose(drawn.var(), variance, rtol=0.02)
  np.testing.assert_allclose(np.abs(drawn).max(), (3 * variance) ** 0.5, 1e-3)
  assert abs(drawn.mean()) < 0.01 * variance**0.5


def test_the_wavelet_start_is_its_bands_and_a_little_noise():
  kernel = init_params(_WAVELET, 0)["base"]["analysis"]["conv_1"]["kernel"]
  fixed = wavelet.cascade(8, 12)[0][1]
  noise = np.asarray(kernel) - fixed
  np.testing.assert_allclose(
    noise.std(), 0.05 * (2 / (25 * 16)) ** 0.5, rtol=0.1
  )
