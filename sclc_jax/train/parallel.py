"""Data parallelism over the devices of all hosts with pmap.

The one module that knows how many devices and processes there are. A global
batch is spread evenly: first over processes, then over their devices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from sclc_jax.nn.target import traced_for

AXIS = "devices"


def initialize(
  coordinator: str | None = None,
  processes: int | None = None,
  process: int | None = None,
) -> None:
  """Joins a cluster; call before anything touches a device.

  Without arguments JAX finds out by itself, on TPU pods and under Slurm.

  Args:
    coordinator: HOST:PORT of process 0.
    processes: how many there are.
    process: which of them this is, from 0.

  Raises:
    ValueError: there is no cluster, or not all that is needed is known of it.
  """
  # Only counts where the devices are CPUs.
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  try:
    jax.distributed.initialize(coordinator, processes, process)
  except (KeyError, ValueError) as error:  # KeyError: a variable of Slurm's
    raise ValueError(
      f"no cluster was found ({error}); start by srun within a Slurm job, or "
      "give --coordinator, --processes and --process."
    ) from None


def is_first_process() -> bool:
  """Whether this process writes the logs."""
  return jax.process_index() == 0


def device_share(batch_size: int, devices: int) -> int:
  """Examples of a global batch that one of so many devices works on.

  Raises:
    ValueError: the batch does not divide evenly.
  """
  if batch_size % devices:
    raise ValueError(
      f"data.batch_size is {batch_size}, which does not divide over "
      f"{devices} devices; choose a multiple of {devices}."
    )
  return batch_size // devices


def local_examples(batch_size: int) -> range:
  """The examples of a global batch that this process works on.

  Raises:
    ValueError: the batch does not divide evenly over all devices.
  """
  each = device_share(batch_size, jax.device_count())
  share = each * jax.local_device_count()
  return range(jax.process_index() * share, (jax.process_index() + 1) * share)


def parallel(
  step: Callable, devices: Sequence[jax.Device] | None = None
) -> Callable:
  """pmaps `step(state, ...)` over devices; the state is donated.

  Args:
    step: takes and gives one device's share.
    devices: all that there are if None; or those of a topology that this
      machine does not have, for which the result can be lowered and compiled.
  """
  name = devices[0].platform if devices else jax.default_backend()

  @functools.wraps(step)
  def share(*args):
    with traced_for(name):
      return step(*args)

  return jax.pmap(share, axis_name=AXIS, donate_argnums=(0,), devices=devices)


def shard(array: np.ndarray, axis: int = 0) -> np.ndarray:
  """This process's [B, ...] to [local devices, B / local devices, ...].

  Args:
    array: of this process's examples.
    axis: which axis counts them; that of the devices comes first all the same.
  """
  shape = array.shape
  devices = jax.local_device_count()
  split = array.reshape(*shape[:axis], devices, -1, *shape[axis + 1 :])
  return np.moveaxis(split, axis, 0)


def replicate(tree: Any) -> Any:
  """One copy a local device, laid out as what `parallel` returns.

  In another layout it would have the step compiled twice.
  """
  local = np.arange(jax.local_device_count())
  copy = jax.pmap(lambda _, tree: tree, axis_name=AXIS, in_axes=(0, None))
  return copy(local, tree)


def from_first_process(tree: Any) -> Any:
  """The arrays that the first process has; all processes call this."""
  if jax.process_count() > 1:
    return multihost_utils.broadcast_one_to_all(tree)
  return tree


def any_process(flag: bool) -> bool:
  """Whether one of the processes has it set; all processes call this."""
  if jax.process_count() > 1:
    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())
  return flag


def unreplicate(tree: Any) -> Any:
  """The first local device's copy, on the host."""
  return jax.tree.map(
    lambda leaf: np.asarray(leaf.addressable_shards[0].data[0]), tree
  )
