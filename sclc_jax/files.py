"""Finds files below a folder, reads them, writes them whole or not at all."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import secrets
import stat
import sys
from collections.abc import Collection, Iterator
from typing import BinaryIO

# Of a pipe or a device, which may have no end.
_MOST_BYTES = 2**31
_SPECIAL = (
  (stat.S_ISFIFO, "pipe"),
  (stat.S_ISSOCK, "socket"),
  (stat.S_ISCHR, "device"),
  (stat.S_ISBLK, "device"),
)
HIDDEN = "name that begins with a dot"


@dataclasses.dataclass(frozen=True)
class Listing:
  """What a folder holds.

  Attributes:
    files: plain files with one of the wanted suffixes, in order.
    left_out: how many others there are, by their suffix (`.txt`), or else by
      what they are (`pipe`).
    errors: of folders below it that cannot be read.
  """

  files: list[pathlib.Path]
  left_out: collections.Counter[str]
  errors: list[OSError]


def list_files(
  folder: str | os.PathLike, suffixes: Collection[str]
) -> Listing:
  """The plain files below a folder, by their suffixes.

  Names that begin with a dot are left out. Links are followed, but each folder
  is walked once, and none above the folder.
  """
  listing = Listing([], collections.Counter(), [])
  root = pathlib.Path(folder)
  walked = {_identity(path) for path in root.resolve().parents}
  folders, links = [root], []
  while folders or links:
    path = folders.pop() if folders else links.pop(0)
    try:
      if (identity := _identity(path)) in walked:
        listing.left_out["link to a folder that is walked already"] += 1
        continue
      walked.add(identity)
      with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
          kind = _kind(entry, suffixes)
          if kind == "folder":
            more = links if entry.is_symlink() else folders
            more.append(pathlib.Path(entry))
          elif kind:
            listing.left_out[kind] += 1
          else:
            listing.files.append(pathlib.Path(entry))
    except OSError as error:
      listing.errors.append(error)
  listing.files.sort()
  return listing


def _identity(path: pathlib.Path) -> tuple[int, int]:
  status = path.stat()
  return status.st_dev, status.st_ino


def _kind(entry: os.DirEntry, suffixes: Collection[str]) -> str:
  """`folder`, why it is left out, or nothing for a wanted file."""
  if entry.name.startswith("."):
    return HIDDEN
  try:
    if entry.is_dir():
      return "folder"
    mode = entry.stat().st_mode
  except OSError:
    return "link that leads nowhere"
  for is_kind, name in _SPECIAL:
    if is_kind(mode):
      return name
  suffix = os.path.splitext(entry.name)[1].lower()
  return "" if suffix in suffixes else suffix or "name without a suffix"


def read_whole(path: str | os.PathLike) -> bytes:
  """Reads a file, a pipe or a device; a ValueError says why it cannot."""
  try:
    with open(path, "rb") as file:
      return read_stream(file, os.fspath(path))
  except OSError as error:
    raise ValueError(
      f"cannot read {os.fspath(path)}: {error.strerror or error}; give a file "
      "that can be read."
    ) from None


def read_stream(file: BinaryIO, name: str) -> bytes:
  """The bytes up to the end; a ValueError where there are too many of them."""
  return b"".join(_chunks(file, name))


def _chunks(file: BinaryIO, name: str) -> Iterator[bytes]:
  size = 0
  while chunk := file.read(2**22):
    size += len(chunk)
    if size > _MOST_BYTES:
      raise ValueError(
        f"{name} has more than {_MOST_BYTES} bytes; give a smaller file."
      )
    yield chunk


def write_whole(
  path: str | os.PathLike, data: bytes, make_folder: bool = False
) -> None:
  """Writes a file whole or not at all, or into what is not a plain file.

  Links are followed: what a link leads to is replaced, and the link stays. What
  is written into a pipe, a device or a descriptor (`/dev/stdout`) goes through.

  Args:
    path: of the file.
    data: all of it.
    make_folder: make the folder of the file first, where there is none.

  Raises:
    ValueError: it cannot be written.
    BrokenPipeError: the reader of stdout has gone.
  """
  path = pathlib.Path(path)
  descriptor = None
  try:
    if make_folder:
      path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _descriptor(path)
    if descriptor is not None:
      with open(os.dup(descriptor), "wb") as file:
        file.write(data)
    elif is_special(path):
      with open(path, "wb") as file:
        file.write(data)
    else:
      _replace(pathlib.Path(os.path.realpath(path)), data)
  except OSError as error:
    if isinstance(error, BrokenPipeError) and descriptor == 1:
      raise
    raise ValueError(
      f"cannot write {path}: {error.strerror or error}; name another output."
    ) from None


def _replace(path: pathlib.Path, data: bytes) -> None:
  part = path.parent / f".sclc-{secrets.token_hex(8)}"
  # Not by tempfile: open takes the umask, which threads cannot ask for.
  file = part.open("xb")
  try:
    with file:
      file.write(data)
    os.replace(part, path)
  except BaseException:
    os.unlink(part)
    raise


def is_special(path: str | os.PathLike) -> bool:
  """Whether it is there and neither a plain file nor a folder."""
  try:
    mode = os.stat(path).st_mode
  except FileNotFoundError:
    return False
  return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _descriptor(path: pathlib.Path) -> int | None:
  """The open descriptor that a path such as `/dev/stdout` stands for."""
  own = os.path.realpath("/proc/self/fd")
  for _ in range(40):  # as many links as Linux follows
    folder = os.path.realpath(path.parent)
    if folder in (own, "/dev/fd") and path.name.isdecimal():
      return int(path.name)
    if not path.is_symlink():
      return None
    path = pathlib.Path(folder) / os.readlink(path)
  return None


def is_stdout(path: str | os.PathLike) -> bool:
  """Whether what is written to a path goes to where stdout goes."""
  try:
    return _descriptor(pathlib.Path(path)) == 1 or os.path.samestat(
      os.stat(path), os.fstat(sys.stdout.fileno())
    )
  except (OSError, ValueError):
    return False


def same_file(
  path: str | os.PathLike, others: Collection[str | os.PathLike]
) -> str | None:
  """Which of `others` is the plain file or pipe at `path`, by any name."""
  try:
    status = os.stat(path)
  except (OSError, ValueError):
    return None
  if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
    return None
  for other in others:
    try:
      if os.path.samestat(status, os.stat(other)):
        return os.fspath(other)
    except (OSError, ValueError):
      continue
  return None
