import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from scipy import stats

from sclc_jax.nn.bounds import lower_bound, safe_power
from sclc_jax.nn.gdn import GDN, normalise
from sclc_jax.nn.initial import initial_params
from sclc_jax.nn.likelihoods import (
  EntropyBottleneck,
  ScaleMixture,
  normal_likelihood,
)
from sclc_jax.nn.target import traced_for
from sclc_jax.nn.transforms import HyperAnalysis
from sclc_jax.nn.wavelet import cascade


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_starts_as_the_papers_formula(inverse):
  x = np.random.default_rng(0).normal(size=(2, 3, 3, 5)).astype(np.float32)
  layer = GDN(inverse=inverse)
  params = {"params": initial_params(layer, 0, x)}
  root = np.sqrt(1 + 0.1 * x**2)
  expected = x * root if inverse else x / root
  np.testing.assert_allclose(layer.apply(params, x), expected, rtol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_equals_tfcs_layer(inverse):
  tfc = pytest.importorskip("tensorflow_compression")
  x = np.random.default_rng(0).normal(size=(2, 3, 3, 5)).astype(np.float32)
  theirs = tfc.GDN(inverse=inverse, alpha_parameter=2, epsilon_parameter=0.5)
  layer = GDN(inverse=inverse)
  ours = layer.apply({"params": initial_params(layer, 0, x)}, x)
  np.testing.assert_allclose(ours, theirs(x).numpy(), rtol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_gdn_gradient_is_that_of_its_formula(inverse, platform):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, 3, 3, 5)), jnp.float32)
  gamma = jnp.asarray(rng.uniform(0, 1, (5, 5)), jnp.float32)
  beta = jnp.asarray(rng.uniform(0.5, 2, 5), jnp.float32)

  def formula(x, gamma, beta):
    root = jnp.sqrt(jnp.einsum("...i,ij->...j", x**2, gamma) + beta)
    return x * root if inverse else x / root

  def ours(x, gamma, beta):
    return normalise(x, gamma, beta, inverse)

  with traced_for(platform):
    gradients = [
      jax.grad(lambda *a, f=f: jnp.sum(jnp.sin(3 * f(*a))), (0, 1, 2))(
        x, gamma, beta
      )
      for f in (ours, formula)
    ]
  for a, b in zip(*gradients):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [0.11, 0.5, 3.0, 40.0])
def test_normal_likelihood_equals_scipy(scale):
  y = np.linspace(-3 * scale, 3 * scale, 41).astype(np.float32)
  normal = stats.norm(scale=scale)
  expected = normal.cdf(y + 0.5) - normal.cdf(y - 0.5)
  ours = normal_likelihood(jnp.asarray(y), jnp.full(y.shape, scale))
  np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=1e-6)


def test_normal_likelihood_and_gradients_equal_tfcs():
  tfc = pytest.importorskip("tensorflow_compression")
  tf = pytest.importorskip("tensorflow")
  y = np.linspace(-4, 4, 17).astype(np.float32)
  scale = np.linspace(0.3, 2, 17).astype(np.float32)
  ty, ts = tf.constant(y), tf.constant(scale)
  with tf.GradientTape() as tape:
    tape.watch([ty, ts])
    theirs = tfc.NoisyNormal(loc=0.0, scale=ts).prob(ty)
  grads = tape.gradient(theirs, [ty, ts])
  ours = normal_likelihood(y, scale)
  np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
  our_grads = jax.grad(
    lambda y, s: normal_likelihood(y, s).sum(), argnums=(0, 1)
  )(y, scale)
  for ours, theirs in zip(our_grads, grads):
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_mixture_is_the_weighted_sum_of_its_normals():
  y = np.arange(-300, 301, dtype=np.float32)
  logits = np.log([0.2, 0.5, 0.3]).astype(np.float32)
  multiples = np.array([0.4, 1.0, 2.5], np.float32)
  params = {"logits": logits, "log_multiples": np.log(multiples)}
  for scale in (0.3, 20.0):
    ours = ScaleMixture().apply({"params": params}, y, jnp.full(601, scale))
    normals = [normal_likelihood(y, scale * m) for m in (1.0, 2.5)]
    narrow = stats.norm(scale=0.4 * scale)
    normals.insert(0, narrow.cdf(y + 0.5) - narrow.cdf(y - 0.5))
    expected = sum(w * n for w, n in zip((0.2, 0.5, 0.3), normals))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours.sum(), 1, atol=1e-4)


def test_mixture_learns_a_shape_that_no_normal_has():
  y = np.random.default_rng(0).laplace(0, 3, 4000).astype(np.float32)

  def bits(params, width):
    likelihood = ScaleMixture().apply({"params": params}, y, jnp.exp(width))
    return -jnp.log2(likelihood).mean()

  params = initial_params(ScaleMixture(), 0, y, 1.0)
  args = params, jnp.log(3.0)
  step = jax.jit(jax.grad(bits, argnums=(0, 1)))
  for _ in range(300):
    args = jax.tree.map(lambda a, g: a - 0.3 * g, args, step(*args))
  normal = -np.log2(normal_likelihood(y, np.std(y))).mean()
  entropy = np.log2(2 * np.e * 3)  # of the Laplacian, in bits
  assert bits(*args) < entropy + 0.03 < normal


def test_masses_of_the_entropy_bottleneck_sum_to_one():
  layer = EntropyBottleneck(4)
  z = jnp.broadcast_to(jnp.arange(-500.0, 501.0)[:, None], (1001, 4))
  params = {"params": initial_params(layer, 0, z)}
  np.testing.assert_allclose(layer.apply(params, z).sum(0), 1, atol=1e-3)


def test_lower_bound_passes_only_gradients_that_raise():
  grad = jax.grad(lambda x, s: s * lower_bound(x, 1.0))
  assert grad(0.5, 1.0) == 0  # descent would lower x further
  assert grad(0.5, -1.0) == -1
  assert grad(2.0, 1.0) == 1


@pytest.mark.parametrize("base", [0.0, 1e-7, 0.3, 1.0])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 30.0])
def test_safe_power_and_its_gradients_are_finite(base, exponent):
  value = safe_power(jnp.float32(base), jnp.float32(exponent))
  expected = (
    base**exponent if base == 0 or base > 1e-6 else float(exponent == 0)
  )
  np.testing.assert_allclose(value, expected, rtol=1e-4)
  for grad in jax.grad(safe_power, (0, 1))(base, exponent):
    assert np.isfinite(grad)


def test_wavelet_kernels_are_orthogonal_up_to_their_gain():
  for kernel, gain in zip(cascade(64, 96)[0], (1, 1, 1, 6)):
    rows = kernel.reshape(-1, kernel.shape[-1])
    rows = rows[:, np.abs(rows).sum(0) > 0]
    np.testing.assert_allclose(
      rows.T @ rows, gain**2 * np.eye(rows.shape[1]), atol=1e-4
    )


@pytest.mark.parametrize("photo, most", [("astronaut", 7), ("coffee", 14)])
def test_bands_that_are_kept_hold_a_photo(photo, most):
  """Mean squared error of the cascade alone, without GDN, there and back."""
  x = getattr(skimage.data, photo)()[:256, :256] / 127.5 - 1
  kernels, y = [k[1:3, 1:3] for k in cascade(128, 320)[0]], x
  for kernel in kernels:
    h, w, channels = y.shape
    squares = y.reshape(h // 2, 2, w // 2, 2, channels)
    y = np.einsum("iajbc,abco->ijo", squares, kernel)
  for kernel, gain in zip(kernels[::-1], (6, 1, 1, 1)):
    h, w, _ = y.shape
    squares = np.einsum("ijo,abco->iajbc", y, kernel) / gain**2
    y = squares.reshape(2 * h, 2 * w, -1)
  assert 0.1 < np.mean((y - x) ** 2) * 127.5**2 < most


def test_hyper_analysis_of_both_starts_from_magnitudes_and_learns_signs():
  y = jax.random.normal(jax.random.key(1), (1, 8, 8, 5))
  layer = HyperAnalysis(4, "both")
  params = {"params": initial_params(layer, 0, y)}
  np.testing.assert_array_equal(layer.apply(params, y), layer.apply(params, -y))
  gradient = jax.grad(lambda p: (layer.apply(p, y) ** 2).sum())(params)
  signs = gradient["params"]["conv_0"]["kernel"][:, :, 5:]
  assert np.all(np.abs(signs).max((0, 1)) > 0)
