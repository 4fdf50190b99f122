"""What a shallow synthesis starts from, where a trained one is at hand.

Its first two layers take the channels of the trained one's that weigh most; the
others start as drawn. So it starts with features that carry the picture.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

# (layer, its IGDN, the layer that reads it), from y_hat on.
_TRAINED = (("conv_3", "igdn_2", "conv_2"), ("conv_2", "igdn_1", "conv_1"))


def strongest_channels(fresh: Any, synthesis: Any) -> Any:
  """`fresh`, its first layers from the trained synthesis.

  A channel weighs the norm of the kernel that gives it times the norm of the
  kernel that reads it.

  Args:
    fresh: initial parameters of `nn.fast_synthesis.FastSynthesis`.
    synthesis: those of a trained `nn.transforms.Synthesis`; it may have fewer
      channels than `fresh` wants.
  """
  started = dict(fresh)
  inputs = np.arange(synthesis["conv_3"]["kernel"].shape[2])
  for i, (conv, igdn, reader) in enumerate(_TRAINED):
    kernel = np.asarray(synthesis[conv]["kernel"])[:, :, inputs]
    read = np.asarray(synthesis[reader]["kernel"])
    weight = np.square(kernel).sum((0, 1, 2)) * np.square(read).sum((0, 1, 3))
    width = fresh[f"conv_{i}"]["bias"].size
    kept = np.sort(np.argsort(weight)[-width:])
    started[f"conv_{i}"] = _into(
      fresh[f"conv_{i}"],
      kernel=kernel[..., kept],
      bias=np.asarray(synthesis[conv]["bias"])[kept],
    )
    started[f"igdn_{i}"] = _into(
      fresh[f"igdn_{i}"],
      gamma=np.asarray(synthesis[igdn]["gamma"])[np.ix_(kept, kept)],
      beta=np.asarray(synthesis[igdn]["beta"])[kept],
    )
    inputs = kept
  return started


def _into(fresh: Any, **leaves: np.ndarray) -> dict[str, Any]:
  """A layer with arrays in the first corner of its own, which may be larger."""
  layer = dict(fresh)
  for name, leaf in leaves.items():
    whole = np.array(fresh[name])
    whole[tuple(slice(n) for n in leaf.shape)] = leaf
    layer[name] = jnp.asarray(whole)
  return layer
