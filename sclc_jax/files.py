"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import pathlib
import secrets


def write_whole(path: str | os.PathLike, data: bytes) -> None:
  """Writes a file whole or not at all."""
  path = pathlib.Path(path)
  part = path.parent / f".sclc-{secrets.token_hex(8)}"
  try:
    # Not by tempfile: open takes the umask, which threads cannot ask for.
    file = part.open("xb")
    try:
      with file:
        file.write(data)
      os.replace(part, path)
    except BaseException:
      os.unlink(part)
      raise
  except OSError as error:
    raise ValueError(f"cannot write {path}: {error.strerror}.") from None
