"""How many CPUs there are to use."""

from __future__ import annotations

import os


def cpu_count() -> int:
  """CPUs that this process may use; a user or a job may have set fewer."""
  if hasattr(os, "sched_getaffinity"):  # Linux
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
