import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sclc_jax.train import sums
from sclc_jax.train.sums import sum_in_turn


@pytest.fixture(params=[False, True], ids=["unrolled", "loop"], autouse=True)
def form(request, monkeypatch) -> None:
  """That of CPUs and that of accelerators, both here."""
  monkeypatch.setattr(sums, "_has_fast_loops", lambda: request.param)


def _term(args, constants, x):
  value = jnp.sum(jnp.tanh(args["w"] * x + args["b"]) ** 2 * constants)
  return value, {"value": value, "x": x}


def test_value_gradient_and_what_is_kept_are_those_of_the_plain_sum():
  rng = np.random.default_rng(0)
  w, b, constants = (jnp.asarray(rng.standard_normal(5)) for _ in range(3))
  xs = jnp.asarray(rng.standard_normal((3, 5)))

  def in_turn(args):
    return sum_in_turn(_term, args, constants, xs)

  def plain(args):
    values, kept = jax.vmap(lambda x: _term(args, constants, x))(xs)
    return values.sum(), kept

  args = {"w": w, "b": b}
  actual, expected = (
    jax.jit(jax.value_and_grad(lambda a, f=f: f(a)[0] ** 2))(args)
    for f in (in_turn, plain)
  )
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5)  # noqa: E731
  jax.tree.map(close, actual, expected)
  jax.tree.map(close, jax.jit(in_turn)(args), plain(args))


def _peak_bytes(terms: int) -> int:
  def loss(w, xs):
    def term(w, _, x):
      x = jnp.full((4096, 64), x)
      for _ in range(6):
        x = jnp.tanh(x @ w)
      return jnp.sum(x**2), ()

    return sum_in_turn(term, w, (), xs)[0]

  shapes = [
    jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((64, 64), (terms,))
  ]
  compiled = jax.jit(jax.grad(loss)).lower(*shapes).compile()
  return compiled.memory_analysis().temp_size_in_bytes


def test_memory_is_not_that_of_all_terms():
  assert _peak_bytes(8) < 3 * _peak_bytes(1)


def test_arguments_keep_their_types():
  def term(args, _, x):
    return jnp.sum(args["a"].astype(jnp.float32) * x * args["b"]), ()

  def loss(args):
    return sum_in_turn(term, args, (), jnp.arange(3.0))[0]

  args = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2)}
  grads = jax.grad(loss)(args)
  assert grads["a"].dtype == jnp.bfloat16 and grads["b"].dtype == jnp.float32
  np.testing.assert_array_equal(grads["a"].astype(jnp.float32), [3, 3])


def test_a_term_that_is_not_finite_makes_sum_and_gradient_so():
  def term(w, _, x):
    return jnp.sum(jnp.log(w * x)), ()

  def loss(w):
    return sum_in_turn(term, w, (), jnp.array([[0.0], [1.0]]))[0]

  value, grad = jax.value_and_grad(loss)(jnp.ones(1))
  assert not np.isfinite(value) and not np.isfinite(grad).any()
