"""Sums whose gradient is taken term by term."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp


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
  total, kept = None, []
  for x in _terms(xs):
    value, part = term(args, constants, x)
    total = value if total is None else total + value
    kept.append(part)
  return total, _stack(kept)


def _forward(term, args, constants, xs):
  gradient = jax.value_and_grad(term, has_aux=True)
  total, kept = None, []
  for x in _terms(xs):
    if total is not None:
      # The term has to wait for the gradient of the one before. XLA:CPU drops
      # optimization_barrier before it orders anything, but not this zero. It
      # goes to x, which is small; in args it would copy every parameter.
      probe = sum(leaf.ravel()[0] for leaf in jax.tree.leaves(total[1]))
      zero = 0 * jnp.where(jnp.isfinite(probe), probe, 0)
      x = jax.tree.map(lambda a, z=zero: a + z.astype(a.dtype), x)
    (value, part), grads = gradient(args, constants, x)
    new = value, grads
    total = new if total is None else jax.tree.map(jnp.add, total, new)
    kept.append(part)
  return (total[0], _stack(kept)), total[1]


def _backward(term, grads, cotangents):
  del term
  grads = jax.tree.map(lambda g: g * cotangents[0].astype(g.dtype), grads)
  return grads, None, None


# Not lax.scan: in its loops XLA:CPU takes convolutions 20 times as slow.
def _terms(xs: Any) -> Iterator[Any]:
  for k in range(jax.tree.leaves(xs)[0].shape[0]):
    yield jax.tree.map(operator.itemgetter(k), xs)


def _stack(kept: list[Any]) -> Any:
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *kept)


sum_in_turn.defvjp(_forward, _backward)
