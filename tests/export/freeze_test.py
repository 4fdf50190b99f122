"""One checkpoint gives one model, whatever is installed under it."""

import hashlib

import jax
import numpy as np
import pytest

from sclc_jax.codec.model.codec_model import flatten, model_tensors, unflatten
from sclc_jax.config import ModelConfig, Objective
from sclc_jax.export.freeze import _KERNEL_UNIT, _round_kernel, freeze
from sclc_jax.models.variable_rate import init_params

# SHA-256 of all arrays, computed once; NumPy, JAX and TensorFlow of other
# versions, or none, give the same.
DIGESTS = {
  ("hyperprior", "normal"): "297329a1daee6c09",
  ("hyperprior", "mixture"): "8c9fd3f34fd7336b",
  ("mean_scale", "mixture"): "73cd1a155e95e355",
  ("context", "mixture"): "e0a75a178af07ad3",
}


def _checkpoint(config: ModelConfig) -> dict:
  """Parameters that depend on no library's random numbers or functions."""
  shapes = jax.tree.map(
    lambda leaf: np.zeros(leaf.shape, np.float32),
    jax.eval_shape(lambda: init_params(config, 0)),
  )
  flat = {}
  for number, (path, value) in enumerate(flatten(shapes, "params").items()):
    size = int(np.prod(value.shape))
    # A linear congruential sequence in [-1, 1), small enough to be exact.
    k = (np.arange(size, dtype=np.int64) * 7919 + 104729 * (number + 1)) % 65521
    noise = (k / 32768.0 - 1).reshape(value.shape)
    mean, spread = (1.5, 1) if path.endswith(("v", "gamma")) else (0, 0.125)
    flat[path] = (mean + spread * noise).astype(np.float32)
  return unflatten(flat)["params"]


@pytest.mark.parametrize(("base", "density"), DIGESTS)
def test_one_checkpoint_gives_one_model_everywhere(base, density):
  config = ModelConfig(base, 8, 12, density=density, mask_threshold=0.3)
  model = freeze(config, _checkpoint(config), Objective("mse", 0.0016, 0.2))
  digest = hashlib.sha256()
  for name, value in sorted(model_tensors(model).items()):
    digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
    digest.update(np.ascontiguousarray(value).tobytes())
  assert digest.hexdigest()[:16] == DIGESTS[base, density]


def test_large_kernels_are_rounded_to_the_nearest_power_of_two():
  rng = np.random.default_rng(0)
  kernel = rng.normal(0, 0.1, (5, 5, 64, 64)).astype(np.float32)
  kernel *= np.exp2(np.linspace(-6, 6, 64)).astype(np.float32)
  units = np.exp2(
    np.round(np.log2(np.sqrt((kernel**2.0).mean((0, 1, 2))) * _KERNEL_UNIT))
  )
  np.testing.assert_allclose(_round_kernel(kernel) / units % 1, 0)
  assert np.abs(_round_kernel(kernel) - kernel).max() <= units.max() / 2
