"""Devices that a run is planned for: of this machine, or of a TPU slice.

A TPU slice need not be there: libtpu, which compiles for it, runs anywhere.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys

LOCAL = "local"
_NAME = re.compile(r"(v4|v5e|v5p|v6e|tpu7x):(\d+x\d+(?:x\d+)?)")
_KINDS = "v4, v5e, v5p, v6e or tpu7x"
# Without them libtpu asks Google's servers which TPU this machine is, says on
# stderr that it is none, and takes a lock that a run beside it may need.
_VARIABLES = {
  "JAX_PLATFORMS": "cpu",
  "TPU_SKIP_MDS_QUERY": "1",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "TPU_WORKER_HOSTNAMES": "localhost",
}
# Two cores act as one device, and the torus is closed: as Cloud TPU has them.
_V4 = {
  "chip_config_name": "megacore",
  "chips_per_host_bounds": (2, 2, 1),
  "wrap": (True, True, True),
}


def check(topology: str, slices: int) -> None:
  """Checks the name and prepares for it; to be called before JAX is loaded.

  Raises:
    ValueError: no such topology can be, or libtpu is missing.
  """
  if topology == LOCAL:
    if slices != 1:
      raise ValueError(
        f"--slices {slices} needs a TPU --topology; local has one slice."
      )
    return
  if not _NAME.fullmatch(topology):
    raise ValueError(
      f"--topology {topology} is not known; give KIND:AxB or KIND:AxBxC, where "
      f"KIND is {_KINDS} and A, B, C are its chips a side (v5e:4x4 for what "
      f"Google calls v5litepod-16), or {LOCAL}."
    )
  if importlib.util.find_spec("libtpu") is None:
    old = sys.version_info < (3, 12)
    raise ValueError(
      f"--topology {topology} needs the package libtpu, which compiles for "
      "TPUs on any machine; "
      + ("take Python 3.12 or later and " if old else "")
      + "pip install 'sclc_jax[plan]'."
    )
  os.environ.update(_VARIABLES)


def devices(topology: str, slices: int = 1) -> tuple:
  """The devices of all slices, or those that this process sees.

  Args:
    topology: `local`, or a TPU slice such as `v5e:16x16`.
    slices: how many, joined by the data centre's network.

  Raises:
    ValueError: libtpu knows no such slice.
  """
  import jax
  from jax.experimental import topologies

  if topology == LOCAL:
    return tuple(jax.devices())
  options = dict(_V4) if topology.startswith("v4:") else {}
  if slices > 1:
    options["num_slices"] = slices
  try:
    made = topologies.get_topology_desc(
      platform="tpu", topology_name=topology, **options
    )
  except (RuntimeError, NotImplementedError) as error:
    text = str(error).splitlines()[0].rstrip(".")
    raise ValueError(
      f"--topology {topology} cannot be: {text}; give one that exists, such as "
      "v5e:4x4, v5p:2x2x2 or v6e:16x16."
    ) from None
  return tuple(made.devices)
