"""Sums whose gradient is taken term by term."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sclc_jax.nn.target import platform


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def sum_in_turn(
  term: Callable[[Any, Any, Any], tuple[jax.Array, Any]],
  args: Any,
  constants: Any,
  xs: Any,
) -> tuple[jax.Array, Any]:
  """sum_k term(args, constants, xs[k]); its gradient is that of `args` alone.

  Backward passes usually start when all terms are there, and so keep what each
  has stored. Here every term is followed by its own gradient, and these are
  added: the memory of about one term, and nothing is computed twice.

  Args:
    term: gives a scalar, and a pytree of what shall be kept of the term, which
      has no gradient.
    args: pytree of float arrays.
    constants: pytree of arrays.
    xs: pytree of arrays with the same leading axis.

  Returns:
    The sum, and what is kept of the terms, stacked.
  """
  return _add_up(lambda x: term(args, constants, x), xs)


def _forward(term, args, constants, xs):
  gradient = jax.value_and_grad(term, has_aux=True)

  def with_gradient(x):
    (value, part), grads = gradient(args, constants, x)
    return (value, grads), part

  (total, grads), kept = _add_up(with_gradient, xs)
  return (total, kept), grads


def _backward(term, grads, cotangents):
  del term
  grads = jax.tree.map(lambda g: g * cotangents[0].astype(g.dtype), grads)
  return grads, None, None


def _add_up(function: Callable[[Any], tuple[Any, Any]], xs: Any):
  """(sum, what is kept, stacked) of function(xs[k]) for each k, in turn."""
  count = jax.tree.leaves(xs)[0].shape[0]
  if count > 1 and _has_fast_loops():
    first = jax.tree.map(operator.itemgetter(0), xs)
    shapes = jax.eval_shape(function, first)[0]
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def add(total, x):
      new, part = function(x)
      return jax.tree.map(jnp.add, total, new), part

    return jax.lax.scan(add, zeros, xs)
  total, kept = None, []
  for k in range(count):
    x = jax.tree.map(operator.itemgetter(k), xs)
    if total is not None:
      # The term has to wait for the one before and its gradient. XLA:CPU drops
      # optimization_barrier before it orders anything, but not this zero. It
      # goes to x, which is small; in args it would copy every parameter.
      probe = sum(leaf.ravel()[0] for leaf in jax.tree.leaves(total))
      zero = 0 * jnp.where(jnp.isfinite(probe), probe, 0)
      x = jax.tree.map(lambda a, z=zero: a + z.astype(a.dtype), x)
    new, part = function(x)
    total = new if total is None else jax.tree.map(jnp.add, total, new)
    kept.append(part)
  return total, jax.tree.map(lambda *leaves: jnp.stack(leaves), *kept)


def _has_fast_loops() -> bool:
  """Whether a loop costs no time, and so spares compiling each of its turns.

  In loops XLA:CPU takes convolutions 20 times as slow.
  """
  return platform() != "cpu"


sum_in_turn.defvjp(_forward, _backward)
