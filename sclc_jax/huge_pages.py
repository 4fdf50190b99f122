"""Huge pages for the buffers of a computation, on Linux.

XLA:CPU asks malloc for the buffers of every call. glibc has large ones from
the kernel and gives them back, so that each call faults its memory in anew,
4 KiB at a time: a tenth of a training step and of coding a photo
(experiments/bench/huge_pages.py). With a tunable of glibc (2.35 and later; an
older one ignores it) the pages have 2 MiB. It is read when a process starts, so
a process that wants it starts itself again. Keeping freed memory (mallopt) is
faster still, but fragments: it doubled the memory of an all-level step.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys

TUNABLE = "glibc.malloc.hugetlb"
_DONE = "SCLC_JAX_RESTARTED"
VARIABLES = ("GLIBC_TUNABLES", _DONE)  # of the environment, that it sets
_MODE = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart() -> None:
  """Starts this command again with huge pages, where they are for the asking.

  Returns where they are not, or have been asked for, and also where the user
  has set the tunable, to 0 say.
  """
  tunables = os.environ.get("GLIBC_TUNABLES", "")
  # The loader may drop the tunables of privileged programs: restart once.
  if TUNABLE in tunables or _DONE in os.environ or not sys.executable:
    return
  try:
    mode = _MODE.read_text()
  except OSError:  # not Linux, or a sandbox
    return
  if "[madvise]" not in mode:
    return
  new = f"{tunables}:{TUNABLE}=1".lstrip(":")
  env = os.environ | {"GLIBC_TUNABLES": new, _DONE: "1"}
  with contextlib.suppress(OSError):
    os.execve(sys.executable, sys.orig_argv, env)
