"""Operations of convolutions and products, against XLA's own count."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from sclc_jax.plan import work

X = jax.ShapeDtypeStruct((2, 12, 12, 3), jnp.float32)
KERNEL = jax.ShapeDtypeStruct((5, 5, 3, 4), jnp.float32)
SQUARE = jax.ShapeDtypeStruct((8, 8), jnp.float32)


def _counted(function, *shapes) -> int:
  return work.count(jax.make_jaxpr(function)(*shapes))


def _by_xla(function, *shapes) -> float:
  cost = jax.jit(function).lower(*shapes).cost_analysis()
  return (cost[0] if isinstance(cost, list) else cost)["flops"]


def _convolution(**options):
  options = {"window_strides": (1, 1), "padding": "SAME"} | options

  def convolution(x, kernel):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
      x, kernel, dimension_numbers=numbers, **options
    )

  return convolution


@pytest.mark.parametrize(
  "options",
  [
    {},
    {"padding": "VALID"},
    {"window_strides": (2, 2)},
    {"lhs_dilation": (2, 2), "padding": ((2, 3), (3, 2))},
    {"rhs_dilation": (2, 3), "padding": ((4, 4), (0, 9))},
  ],
)
def test_a_convolution_counts_as_xla_counts_it(options):
  convolution = _convolution(**options)
  expected = _by_xla(convolution, X, KERNEL)
  assert _counted(convolution, X, KERNEL) == expected


def test_the_gradients_of_a_strided_convolution_count_likewise():
  convolution = _convolution(window_strides=(2, 2))
  ct = jax.eval_shape(convolution, X, KERNEL)

  def gradients(x, kernel, ct):
    return jax.vjp(convolution, x, kernel)[1](ct)

  shapes = X, KERNEL, ct
  assert _counted(gradients, *shapes) - _counted(convolution, X, KERNEL) in (
    pytest.approx(_by_xla(gradients, *shapes)),
    # where the forward pass has been dropped from the trace
    pytest.approx(
      _by_xla(gradients, *shapes) - _counted(convolution, X, KERNEL)
    ),
  )


def test_a_loop_counts_as_often_as_it_runs():
  def f(x):
    return lax.scan(lambda y, _: (y @ x, None), x, length=7)[0]

  assert _counted(f, SQUARE) == 7 * 2 * 8**3


def test_of_a_conditional_the_branch_with_least_counts():
  def f(x):
    return lax.cond(x.sum() > 0, lambda: x @ x, lambda: x @ x @ x)

  assert _counted(f, SQUARE) == 2 * 8**3


def test_of_a_pmapped_function_what_one_device_does_counts():
  batch = jax.ShapeDtypeStruct((1, 8, 8), jnp.float32)
  assert _counted(jax.pmap(lambda x: x @ x), batch) == 2 * 8**3
