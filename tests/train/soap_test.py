import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sclc_jax.train.soap import scale_by_soap


def _orthogonal(rng, n):
  return jnp.asarray(np.linalg.qr(rng.standard_normal((n, n)))[0])


def _valley(rng, shape, decades):
  """(loss of W [I, O] and inputs [B, I], its mean over inputs), turned.

  A linear layer whose inputs and errors deviate unequally along directions
  that are no axes.
  """
  mixes = [
    _orthogonal(rng, n) @ jnp.diag(jnp.logspace(0, -decades, n)) for n in shape
  ]
  target = jnp.asarray(rng.standard_normal(shape))

  def loss(w, x):
    error = x @ mixes[0].T @ (w - target) @ mixes[1]
    return 0.5 * jnp.mean(jnp.sum(error**2, -1))

  def mean_loss(w):
    return 0.5 * jnp.sum((mixes[0].T @ (w - target) @ mixes[1]) ** 2)

  return loss, mean_loss


def _descend(tx, loss, start, steps, lr=0.03):
  """The path of W, and the last state, on batches of 8 normal inputs."""
  rate = optax.cosine_decay_schedule(lr, steps)
  tx = optax.chain(tx, optax.scale_by_learning_rate(rate))

  def step(carry, key):
    w, state = carry
    inputs = jax.random.normal(key, (8, *start.shape[:1]))
    updates, state = tx.update(jax.grad(loss)(w, inputs), state, w)
    w = optax.apply_updates(w, updates)
    return (w, state), w

  keys = jax.random.split(jax.random.key(0), steps)
  (_, state), path = jax.lax.scan(step, (start, tx.init(start)), keys)
  return path, state


def test_it_descends_a_turned_valley_faster_than_adam():
  loss, mean_loss = _valley(np.random.default_rng(0), (16, 12), 1.5)
  start = jnp.zeros((16, 12))
  adam, soap = (
    mean_loss(_descend(tx, loss, start, 300)[0][-1])
    for tx in (optax.scale_by_adam(0.9, 0.95), scale_by_soap(0.9, 0.95))
  )
  assert soap < 0.5 * adam < 0.1 * mean_loss(start)


@pytest.fixture
def float64():
  # float32 does not tell the eigenvectors of a single gradient apart.
  jax.config.update("jax_enable_x64", True)
  yield
  jax.config.update("jax_enable_x64", False)


def test_turning_the_outputs_turns_the_path(float64):
  rng = np.random.default_rng(1)
  loss, _ = _valley(rng, (4, 4), 1.0)
  turn = _orthogonal(rng, 4)
  start = jnp.asarray(rng.standard_normal((4, 4)))

  def both(tx):
    path, _ = _descend(tx, loss, start, 10)
    turned, _ = _descend(tx, lambda w, x: loss(w @ turn.T, x), start @ turn, 10)
    return np.abs(turned @ turn.T - path).max()

  assert both(scale_by_soap(every=1)) < 1e-5
  assert both(optax.scale_by_adam()) > 2e-2


@pytest.mark.parametrize("shape", [(5,), (300, 1), ()])
def test_without_a_short_axis_it_is_adam(shape):
  rng = np.random.default_rng(2)
  start = jnp.asarray(rng.standard_normal(shape), jnp.float32)

  def loss(w, x):
    return jnp.sum(w**4) * jnp.mean(x**2)

  path, state = _descend(scale_by_soap(0.9, 0.99), loss, start, 10)
  expected, _ = _descend(optax.scale_by_adam(0.9, 0.99), loss, start, 10)
  np.testing.assert_allclose(path, expected, rtol=1e-5)
  assert jax.tree.leaves(state[0].bases) == []


def test_bases_stay_orthogonal_and_follow_the_gradient():
  rng = np.random.default_rng(3)
  mix = jnp.asarray(rng.standard_normal((6, 6)), jnp.float32)
  tx = scale_by_soap(every=2)
  params = {"kernel": jnp.zeros((3, 3, 6, 4))}
  state = tx.init(params)
  update = jax.jit(tx.update)
  for _ in range(200):
    noise = rng.standard_normal((3, 3, 6, 4))
    grads = {"kernel": jnp.einsum("hwio,ij->hwjo", noise, mix)}
    updates, state = update(grads, state)
  assert updates["kernel"].shape == (3, 3, 6, 4)
  bases = state.bases["kernel"]
  assert {a: b.shape for a, b in bases.items()} == {
    "0": (9, 9), "1": (6, 6), "2": (4, 4),
  }  # fmt: skip
  for basis in bases.values():
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-5)
  turned = bases["1"].T @ state.covariances["kernel"]["1"] @ bases["1"]
  off = turned - np.diag(np.diag(turned))
  assert np.abs(off).max() < 0.05 * np.diag(turned).max()
