"""A folder of this machine, of which a bucket has a copy.

For what is appended to, which objects in a bucket cannot be, and for libraries
that write to this machine alone.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterable

from sclc_jax.buckets import Path, is_remote
from sclc_jax.files import is_there, read_whole, write_whole
from sclc_jax.train.progress import say

_EVERY_S = 30.0
_SHARE = 0.05  # of the time may go into copying


class Mirror:
  """Copies what changes in a folder; one of this machine is its own copy.

  Attributes:
    folder: of this machine, to write to.
  """

  def __init__(self, target: Path, names: Iterable[str] = ()):
    """Makes the folder.

    Args:
      target: of this machine or in a bucket.
      names: of files that are read from there at first, where they are there.
    """
    self._target = target if is_remote(target) else None
    self._copied: dict[pathlib.Path, tuple[int, int]] = {}
    self._due = 0.0
    if self._target is None:
      self.folder = pathlib.Path(target)
      return
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sclc-"))
    for name in names:
      if is_there(target / name):
        (self.folder / name).write_bytes(read_whole(target / name))

  def push(self) -> None:
    """Copies the files that have changed since they were copied.

    Where that fails, a line says so, and the next time takes them again: a run
    does not end by it.
    """
    start = time.monotonic()
    try:
      self._copy()
    except ValueError as error:
      say(f"{str(error).rstrip('.')}. It will be tried again.")
    end = time.monotonic()
    self._due = end + max(_EVERY_S, (end - start) / _SHARE)

  def _copy(self) -> None:
    if self._target is None:
      return
    for path in sorted(self.folder.rglob("*")):
      status = os.stat(path)
      state = status.st_mtime_ns, status.st_size
      if path.is_file() and self._copied.get(path) != state:
        name = path.relative_to(self.folder).as_posix()
        write_whole(self._target / name, path.read_bytes())
        self._copied[path] = state

  def push_now_and_then(self) -> None:
    """Copies where that was not done for a while."""
    if time.monotonic() >= self._due:
      self.push()

  def close(self) -> None:
    """Copies what is left, and removes the folder of this machine.

    Raises:
      ValueError: that cannot be copied; it stays where it is.
    """
    if self._target is None:
      return
    try:
      self._copy()
    except ValueError as error:
      reason = str(error).rpartition(";")[0]
      raise ValueError(
        f"{reason}; what is left lies in {self.folder}, copy it to "
        f"{self._target}."
      ) from None
    shutil.rmtree(self.folder, ignore_errors=True)
