"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

Vyas et al. 2024, arXiv 2409.11321; optax has none. A kernel is read as
[taps, I, O]. Along each axis that is not too long, SOAP keeps the mean of the
gradient's outer products and a basis of its eigenvectors, renewed now and then.
Adam scales the step in that basis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

# A longer axis keeps its own basis. M = 320 is one: the renewal of its bases
# alone would cost a tenth of a training step, and the codec keeps the channels
# of y apart anyway.
_LONGEST = 256


class SoapState(NamedTuple):
  """State of `scale_by_soap`; the last two by parameter, then axis.

  Attributes:
    count: updates so far, int32.
    mean: of the rotated gradients, like the parameters.
    square: mean of their squares, like the parameters.
    covariances: mean outer product of the gradient along an axis, [n, n].
    bases: orthogonal [n, n], a direction a column.
  """

  count: jax.Array
  mean: Any
  square: Any
  covariances: Any
  bases: Any


def scale_by_soap(
  b1: float = 0.9, b2: float = 0.99, eps: float = 1e-8, every: int = 20
) -> optax.GradientTransformation:
  """Adam's scaling in a basis that is renewed every so many updates.

  Args:
    b1: decay of the mean of gradients.
    b2: decay of the squares and of the outer products.
    eps: added to the root of the squares.
    every: updates from one renewal of the bases to the next.

  Returns:
    A transformation for parameters of any shapes; without an axis of 2 to 256
    it is Adam.
  """

  def init(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return SoapState(
      jnp.zeros((), jnp.int32),
      zeros,
      zeros,
      jax.tree.map(lambda p: _per_axis(p, lambda n: jnp.zeros((n, n))), params),
      jax.tree.map(lambda p: _per_axis(p, jnp.eye), params),
    )

  def update(grads, state, params=None):
    del params
    count = state.count + 1
    covariances = jax.tree.map(
      lambda g, old: {
        axis: b2 * c + (1 - b2) * _outer(_flat(g), int(axis))
        for axis, c in old.items()
      },
      grads,
      state.covariances,
    )
    mean, bases = jax.lax.cond(
      (count == 1) | (count % every == 0),
      lambda: _renew(count, state.mean, covariances, state.bases),
      lambda: (state.mean, state.bases),
    )
    rotated = jax.tree.map(_rotate, grads, bases)
    mean = optax.incremental_update(rotated, mean, 1 - b1)
    square = optax.incremental_update(
      jax.tree.map(jnp.square, rotated), state.square, 1 - b2
    )

    def step(m, s, basis):
      scale = jnp.sqrt(s / (1 - b2**count)) + eps
      return _rotate(m / (1 - b1**count) / scale, basis, back=True)

    updates = jax.tree.map(step, mean, square, bases)
    return updates, SoapState(count, mean, square, covariances, bases)

  return optax.GradientTransformation(init, update)


def _flat(x: jax.Array) -> jax.Array:
  """A kernel [H, W, I, O] as [H W, I, O]; others as they are."""
  return x.reshape(-1, *x.shape[2:]) if x.ndim == 4 else x


def _per_axis(value: jax.Array, make: Any) -> dict[str, jax.Array]:
  shape = jax.eval_shape(_flat, value).shape
  if len(shape) < 2:
    return {}
  return {str(i): make(n) for i, n in enumerate(shape) if 1 < n <= _LONGEST}


def _outer(x: jax.Array, axis: int) -> jax.Array:
  rows = jnp.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
  return rows @ rows.T


def _rotate(
  x: jax.Array, bases: dict[str, jax.Array], back: bool = False
) -> jax.Array:
  """x in the coordinates of `bases`, or back from them."""
  rotated = _flat(x)
  for axis, basis in bases.items():
    turn = basis.T if back else basis
    rotated = jnp.tensordot(rotated, turn, ((int(axis),), (0,)))
    rotated = jnp.moveaxis(rotated, -1, int(axis))
  return rotated.reshape(x.shape)


def _renew(count, mean, covariances, old):
  """(mean, bases) turned towards the eigenvectors: a step of power iteration.

  The first bases are the eigenvectors themselves.
  """
  bases = jax.lax.cond(
    count == 1,
    lambda: _stacked(lambda c: jnp.linalg.eigh(c)[1][..., ::-1], covariances),
    lambda: _stacked(lambda c, b: jnp.linalg.qr(c @ b)[0], covariances, old),
  )
  mean = jax.tree.map(
    lambda m, old, new: _rotate(_rotate(m, old, back=True), new),
    mean,
    old,
    bases,
  )
  return mean, bases


def _stacked(function: Callable[..., jax.Array], *trees: Any) -> Any:
  """`jax.tree.map` over matrices, with those of one size in one call.

  Accelerators have no operation for eigenvectors and bases, but long programs
  for each; a model has some thirty matrices of five sizes.

  Args:
    function: takes [K, n, n] of each tree, gives [K, n, n].
    *trees: of one structure, with matrices as leaves.
  """
  matrices = list(zip(*map(jax.tree.leaves, trees), strict=True))
  sizes = [len(first) for first, *_ in matrices]
  results = [None] * len(matrices)
  for size in sorted(set(sizes)):
    of_size = [i for i, each in enumerate(sizes) if each == size]
    stacks = map(jnp.stack, zip(*(matrices[i] for i in of_size)))
    for i, result in zip(of_size, function(*stacks)):
      results[i] = result
  return jax.tree.unflatten(jax.tree.structure(trees[0]), results)
