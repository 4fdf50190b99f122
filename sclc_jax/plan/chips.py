"""What accelerators can do at best, by the makers' figures."""

from __future__ import annotations

import dataclasses
import os
import time

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
  """Bounds of one device, as JAX counts devices.

  Attributes:
    kind: JAX's name, `Device.device_kind`.
    flops: bfloat16 operations a second, without sparsity.
    flops_float32: the same of convolutions in float32, as JAX runs them unless
      told otherwise: in bfloat16 on TPUs, in TF32 on GPUs.
    bandwidth: of the main memory, bytes a second.
    memory: bytes that a program may use.
  """

  kind: str
  flops: float
  flops_float32: float
  bandwidth: float
  memory: float

  def peak(self, precision: str) -> float:
    """Operations a second in `train.precision`."""
    return self.flops if precision == "bfloat16" else self.flops_float32


# Peak rates of TPUs: docs.cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e and
# /tpu7x. A chip of tpu7x is two devices, so each has half of its 2307 TFLOP/s,
# 7380 GB/s and 192 GiB. The memory is what XLA's compiler (libtpu 0.0.50.1)
# says it has where a program needs more; the rest is the system's.
# Peak rates of GPUs: NVIDIA's data sheets of A100 80GB SXM, H100 SXM, H200 SXM
# and B200, half of what they give with sparsity. The memory is asked for.
_CHIPS = (
  Chip("TPU v4", 275e12, 275e12, 1228e9, 30.75 * GIB),
  Chip("TPU v5 lite", 197e12, 197e12, 819e9, 15.75 * GIB),
  Chip("TPU v5", 459e12, 459e12, 2765e9, 95.73 * GIB),
  Chip("TPU v6 lite", 918e12, 918e12, 1640e9, 31.24 * GIB),
  Chip("TPU7x", 1153.5e12, 1153.5e12, 3690e9, 94.74 * GIB),
  Chip("NVIDIA A100-SXM4-80GB", 312e12, 156e12, 2039e9, 80e9),
  Chip("NVIDIA H100 80GB HBM3", 989e12, 494e12, 3350e9, 80e9),
  Chip("NVIDIA H200", 989e12, 494e12, 4800e9, 141e9),
  Chip("NVIDIA B200", 2250e12, 1125e12, 8000e9, 180e9),
)


def known_chip(device) -> Chip | None:
  """The bounds of a device by the makers' figures, None if it is in no table.

  Args:
    device: a `jax.Device`, of this machine or of a topology.
  """
  for chip in _CHIPS:
    if chip.kind == device.device_kind:
      return dataclasses.replace(chip, memory=_memory(device, chip.memory))
  return None


def chip_of(device) -> Chip:
  """The bounds of a device; of one that is in no table, as measured."""
  return known_chip(device) or _measured(device)


def _memory(device, otherwise: float) -> float:
  """What JAX may take of a device's memory, if it can be asked."""
  try:
    stats = device.memory_stats()
  except Exception:  # a topology's devices have none, nor have CPUs
    stats = None
  return (stats or {}).get("bytes_limit", otherwise)


def _measured(device) -> Chip:
  """Rates of a device of this machine: one product, one sum of two arrays.

  The devices of one CPU share it.
  """
  import jax
  import jax.numpy as jnp

  n = 1024
  square = jax.device_put(jnp.ones((n, n)), device)
  flops = 2 * n**3 / _seconds(jax.jit(lambda x: x @ x), square)
  long = jax.device_put(jnp.ones(2**23), device)
  moved = 2 * long.nbytes / _seconds(jax.jit(lambda x: x + 1), long)
  share = jax.local_device_count() if device.platform == "cpu" else 1
  ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  return Chip(
    f"{device.device_kind} (measured)",
    flops / share,
    flops / share,
    moved / share,
    _memory(device, ram) / share,
  )


def _seconds(function, x) -> float:
  """The best of five calls, after one that compiles."""
  function(x).block_until_ready()
  times = []
  for _ in range(5):
    start = time.perf_counter()
    function(x).block_until_ready()
    times.append(time.perf_counter() - start)
  return min(times)
