"""Finds files below a folder, reads them, writes them whole or not at all.

On this machine, or in a bucket (`buckets`).
"""

from __future__ import annotations

import collections
import dataclasses
import glob
import io
import os
import pathlib
import secrets
import shutil
import stat
import sys
from collections.abc import Collection, Iterator
from typing import BinaryIO

from sclc_jax import buckets
from sclc_jax.buckets import Path, is_remote, to_path

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

  files: list[Path]
  left_out: collections.Counter[str]
  errors: list[OSError]


def list_files(
  folder: str | os.PathLike, suffixes: Collection[str]
) -> Listing:
  """The plain files below a folder, by their suffixes.

  Names that begin with a dot are left out. Links are followed, but each folder
  is walked once, and none above the folder.
  """
  if is_remote(folder):
    return _list_objects(os.fspath(folder), suffixes)
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


def _list_objects(folder: str, suffixes: Collection[str]) -> Listing:
  listing = Listing([], collections.Counter(), [])
  start = folder.rstrip("/") + "/"
  try:
    names = buckets.find(start)
  except OSError as error:
    error.filename, error.strerror = folder, str(error)
    listing.errors.append(error)
    return listing
  for name in names:
    below = name.removeprefix(start).split("/")
    is_hidden = any(part.startswith(".") for part in below)
    kind = HIDDEN if is_hidden else _suffix_left_out(name, suffixes)
    if kind:
      listing.left_out[kind] += 1
    else:
      listing.files.append(to_path(name))
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
  return _suffix_left_out(entry.name, suffixes)


def _suffix_left_out(name: str, suffixes: Collection[str]) -> str:
  suffix = os.path.splitext(name)[1].lower()
  return "" if suffix in suffixes else suffix or "name without a suffix"


def matches(pattern: str) -> list[Path]:
  """What a pattern with *, ? or ** stands for."""
  if is_remote(pattern):
    return [to_path(name) for name in buckets.match(pattern)]
  return [pathlib.Path(name) for name in glob.glob(pattern, recursive=True)]


def is_folder(path: str | os.PathLike) -> bool:
  """Whether it is one; in a bucket, whether something lies below it."""
  return buckets.is_folder(path) if is_remote(path) else os.path.isdir(path)


def is_there(path: str | os.PathLike) -> bool:
  """Whether there is something of this name, be it a link to nowhere."""
  return buckets.exists(path) if is_remote(path) else os.path.lexists(path)


def size(path: str | os.PathLike) -> int:
  """Bytes of a file."""
  return buckets.size(path) if is_remote(path) else os.path.getsize(path)


def absolute(path: str | os.PathLike) -> Path:
  """The path from the root on; those in buckets always are."""
  return to_path(path) if is_remote(path) else pathlib.Path(path).absolute()


def read_whole(path: str | os.PathLike) -> bytes:
  """Reads a file, a pipe or a device; a ValueError says why it cannot."""
  try:
    if is_remote(path):
      return buckets.read(path)
    with open(path, "rb") as file:
      return read_stream(file, os.fspath(path))
  except OSError as error:
    raise ValueError(
      f"cannot read {os.fspath(path)}: {error.strerror or error}; give a file "
      "that can be read."
    ) from None


def open_text(path: str | os.PathLike) -> io.StringIO:
  """The text of a file, with its line ends; errors as of `read_whole`."""
  return io.StringIO(read_whole(path).decode(), newline="")


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
  path = to_path(path)
  descriptor = None
  try:
    if is_remote(path):
      buckets.write(path, data)
      return
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


def remove_folder(path: str | os.PathLike) -> None:
  """Removes a folder, as far as that can be done."""
  if is_remote(path):
    buckets.remove(path)
  else:
    shutil.rmtree(path, ignore_errors=True)


def move_folder(path: str | os.PathLike, target: str | os.PathLike) -> None:
  """Moves a folder, in place of another one; makes the folders above it."""
  remove_folder(target)
  if is_remote(path):
    buckets.move(path, target)
  else:
    pathlib.Path(target).parent.mkdir(parents=True, exist_ok=True)
    os.rename(path, target)


def is_special(path: str | os.PathLike) -> bool:
  """Whether it is there and neither a plain file nor a folder."""
  try:
    mode = os.stat(path).st_mode
  except FileNotFoundError:  # as all in buckets are
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
  if is_remote(path):
    names = map(os.fspath, others)
    return next((name for name in names if name == os.fspath(path)), None)
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
