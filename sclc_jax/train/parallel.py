"""Data parallelism over the local devices with pmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.jax_utils
import jax
import numpy as np

AXIS = "devices"


def devices_for(batch_size: int) -> list[jax.Device]:
  """All local devices; the global batch has to divide evenly over them."""
  devices = jax.local_devices()
  if batch_size % len(devices):
    raise ValueError(
      f"data.batch_size is {batch_size}, which does not divide over "
      f"{len(devices)} devices; choose a multiple of {len(devices)}."
    )
  return devices


def parallel(step: Callable, devices: list[jax.Device]) -> Callable:
  """pmaps `step(state, batch, indices)`; state is replicated and donated."""
  return jax.pmap(step, axis_name=AXIS, devices=devices, donate_argnums=(0,))


def shard(array: np.ndarray, devices: list[jax.Device]) -> np.ndarray:
  """[B, ...] to [devices, B / devices, ...]."""
  return array.reshape(len(devices), -1, *array.shape[1:])


def replicate(tree: Any, devices: list[jax.Device]) -> Any:
  """One copy a device."""
  return flax.jax_utils.replicate(tree, devices)


def unreplicate(tree: Any) -> Any:
  """The first device's copy, on the host."""
  return jax.device_get(flax.jax_utils.unreplicate(tree))
