"""Settings of glibc's malloc that make computations faster.

XLA:CPU asks malloc for buffers in every call. glibc gets large buffers from the
kernel and gives them back at once. So every call has to fetch its memory again,
4 KiB at a time, and a virtual machine may even have to ask its host.

Two tunables of glibc help: pages of 2 MiB (from glibc 2.35 on), and keeping
what is freed. glibc reads them when a process starts, so a process that wants
them starts itself again.
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
