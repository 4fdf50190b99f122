"""How malloc serves the buffers of a computation, where it is glibc's.

XLA:CPU asks malloc for the buffers of every call. glibc has large ones from
the kernel and gives them back, so that each call faults its memory in anew,
4 KiB at a time; and a virtual machine may have to ask its host again, which
takes longer still. With tunables of glibc (2.35
and later for the first) the pages have 2 MiB where the kernel has them, and
what is freed is kept. They are read when a process starts, so a process that
wants them starts itself again.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys

HUGE_PAGES = "glibc.malloc.hugetlb=1"
# For training, whose steps are alike. It fragments what is not: tiles of a
# large photo take three times the memory for no time at all.
KEEP = ":".join(
  (
    HUGE_PAGES,
    "glibc.malloc.mmap_max=0",  # all from the heap,
    f"glibc.malloc.trim_threshold={2**40}",  # which does not shrink,
    "glibc.malloc.arena_max=1",  # for all threads
  )
)
_DONE = "SCLC_JAX_RESTARTED"
VARIABLES = ("GLIBC_TUNABLES", _DONE)  # of the environment, that it sets


def restart(tunables: str) -> None:
  """Starts this command again with tunables, where malloc is glibc's.

  Returns where it is not, and also where the user has tuned malloc.
  """
  own = os.environ.get("GLIBC_TUNABLES", "")
  # The loader may drop the tunables of privileged programs: restart once.
  if "glibc.malloc." in own or _DONE in os.environ or not sys.executable:
    return
  if platform.libc_ver()[0] != "glibc":
    return
  new = f"{own}:{tunables}".lstrip(":")
  env = os.environ | {"GLIBC_TUNABLES": new, _DONE: "1"}
  with contextlib.suppress(OSError):
    os.execve(sys.executable, sys.orig_argv, env)
