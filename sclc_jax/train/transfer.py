"""Starts a model from the parameters of another one.

A wide model can start from a narrower one by Net2Wider (Chen et al. 2016, arXiv
1511.05641). New channels read all channels, but old channels do not read new
ones until training changes that. So at the start the images are the narrow
model's, and the new channels of y and z cost a little rate. The paper's new
channels are copies; these are the next bands of the wavelet start.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from sclc_jax.nn.likelihoods import matrix_start

# The wavelet start's bands are louder than what a trained model left over.
_LOUDNESS = 0.5
# What is added to z starts near 0 under a narrow density. At the usual start 64
# channels cost 0.08 bpp, a third of the lowest rate, and 400 steps later still.
_LOUDNESS_OF_Z = 0.03
_WIDTH_OF_Z = 0.125


def merge(fresh: Any, old: Any) -> Any:
  """`fresh`, with every leaf that `old` has from it.

  Args:
    fresh: initial parameters of the model that is built, nested dicts.
    old: those of another, whose leaves are missing or of the same path. Where
      both are of base `hyperprior`, N and M may be smaller.

  Raises:
    ValueError: a leaf does not fit.
  """
  return _merge((), fresh, old, _has_scales_alone(fresh, old))


def _has_scales_alone(*models: Any) -> bool:
  """Whether y's prediction holds one thing, so that axes have one end."""
  bases = [params.get("base", {}) for params in models]
  return all(
    base["hyper_synthesis"]["conv_2"]["bias"].shape
    == base["analysis"]["conv_3"]["bias"].shape
    for base in bases
    if "hyper_synthesis" in base
  )


def _merge(path: tuple[str, ...], fresh: Any, old: Any, widens: bool) -> Any:
  if isinstance(fresh, dict):
    return {
      key: _merge((*path, key), value, old[key], widens)
      if key in old
      else value
      for key, value in fresh.items()
    }
  shape = np.shape(old)
  if shape == fresh.shape:
    return jnp.asarray(old, jnp.float32)
  fits = all(n <= m for n, m in zip(shape, fresh.shape))
  if path[-1] in ("qv", "iqv", "gamma") and shape[0] != fresh.shape[0]:
    fits = "gdn" in path[-2]  # the others are tables of levels
  if not (widens and fits):
    raise ValueError(
      f"{'.'.join(path)} of shape {shape} does not fit the model's "
      f"{fresh.shape}; model.base, .levels and .hyper_input must equal "
      "init_from's, and .N and .M, too, unless the base is 'hyperprior' and "
      "the model the wider one (.N and .M alone where init_parts is "
      "'transforms')."
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
  elif path[1:] == ("hyper_analysis", "conv_2", name):  # gives z
    fresh[..., channels:] *= _LOUDNESS_OF_Z
  elif path[1] == "entropy_bottleneck":
    added = fresh[old.shape[0] :]
    if name.startswith("matrix"):
      added[:] = matrix_start(_WIDTH_OF_Z, added.shape[1])
    elif name.startswith("bias"):
      added *= _LOUDNESS_OF_Z
  elif path[1:] == ("hyper_synthesis", "conv_2", name):  # gives its scales
    fresh[..., channels:] *= 0 if name == "kernel" else _LOUDNESS
  elif path[0] == "quantizer":
    fresh[:] = old.mean(-1, keepdims=True)
  if name == "kernel":
    fresh[:, :, old.shape[2] :, :channels] = 0
  fresh[tuple(slice(n) for n in old.shape)] = old
  return fresh
