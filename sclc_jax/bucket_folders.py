"""gcsfs with folders that are there once they are made, as orbax 0.11 expects.

A bucket knows names of objects alone. So a new folder gets an object `.folder`.
Nothing that was listed is kept: tensorstore and other processes write too.
"""

from __future__ import annotations

import os
from typing import Any

import fsspec
import gcsfs.core

EMULATOR = "STORAGE_EMULATOR_HOST"  # what Google's own libraries read


class FileSystem(gcsfs.core.GCSFileSystem):
  """What fsspec, and with it etils.epath, reaches gs:// by."""

  def __init__(self, *args, **kwargs):
    if os.environ.get(EMULATOR):
      kwargs.setdefault("token", "anon")
    kwargs.setdefault("use_listings_cache", False)
    super().__init__(*args, **kwargs)

  def mkdir(self, path: str, *unused: Any, **unused_too: Any) -> None:
    """Makes a folder; those above it need not be there."""
    self.pipe_file(f"{path.rstrip('/')}/.folder", b"")

  def makedirs(self, path: str, exist_ok: bool = False) -> None:
    """Makes a folder, where there is none."""
    if not self.exists(path):
      self.mkdir(path)
    elif not exist_ok:
      raise FileExistsError(path)


def register() -> None:
  """Makes fsspec take this class."""
  for name in ("gcs", "gs"):
    fsspec.register_implementation(name, FileSystem, clobber=True)
