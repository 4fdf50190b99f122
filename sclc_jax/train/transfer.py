"""The parameters that a model starts from, where another's are known.

A wide model takes a narrower one's: the narrow model goes on inside the wide
one. What is added reads all, but nothing that was there reads what is added,
until training finds a use for it: at the start the images are the narrow
model's, and the channels that are added to y and z cost a little rate. The idea
is Net2Net's (Chen et al. 2016, arXiv 1511.05641), whose new channels are
copies; here they are the next bands of the wavelet start.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

# The wavelet start's bands are louder than what a trained model left over.
_LOUDNESS = 0.5


def merge(
  fresh: Any, old: Any, widens: bool, path: tuple[str, ...] = ()
) -> Any:
  """`fresh`, with every leaf that `old` has from it.

  Args:
    fresh: initial parameters of the model that is built, nested dicts.
    old: those of another, whose leaves are missing or of the same path.
    widens: axes of `old` may be shorter; true for base `hyperprior`, where no
      axis holds two things one after the other.
    path: of both in their trees.

  Raises:
    ValueError: a leaf does not fit.
  """
  if isinstance(fresh, dict):
    return {
      key: merge(value, old[key], widens, (*path, key)) if key in old else value
      for key, value in fresh.items()
    }
  shape = np.shape(old)
  if shape == fresh.shape:
    return jnp.asarray(old, jnp.float32)
  if not widens or any(n > m for n, m in zip(shape, fresh.shape)):
    raise ValueError(
      f"a parameter of shape {shape} does not fit the model's {fresh.shape}; "
      "model.base and .hyper_input must equal init_from's, and .N and .M, too, "
      "unless both bases are 'hyperprior' and the model is the wider one "
      "(.N and .M alone where init_parts is 'transforms')."
    )
  return jnp.asarray(_widen(path, np.array(fresh), np.asarray(old)))


def _widen(path: tuple[str, ...], fresh: np.ndarray, old: np.ndarray):
  """A leaf of the wide model: `old` in its corner."""
  name, channels = path[-1], old.shape[-1]
  if path[0] == "selector" and channels < fresh.shape[-1]:
    # Old curves were seen to drop what is added before it was of use.
    return fresh
  if path[1:] == ("analysis", "conv_3", name):  # gives y
    fresh[..., channels:] *= _LOUDNESS
  elif path[1:] == ("hyper_synthesis", "conv_2", name):  # gives its scales
    fresh[..., channels:] *= 0 if name == "kernel" else _LOUDNESS
  elif path[0] == "quantizer":
    fresh[:] = old.mean(-1, keepdims=True)
  if name == "kernel":
    fresh[:, :, old.shape[2] :, :channels] = 0
  fresh[tuple(slice(n) for n in old.shape)] = old
  return fresh
