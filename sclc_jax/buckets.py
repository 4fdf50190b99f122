"""Files in buckets of Google Cloud Storage, by etils.epath and gcsfs.

`to_path` makes a path of this machine of every name, or a path in a bucket if
the name begins with `gs://`. orbax, tensorstore and array_record reach buckets
by themselves.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

# Of this machine, or an etils.epath.Path, which has the same methods.
Path = pathlib.PurePath
# Not by TensorFlow, where that is installed: it takes seconds to load. epath
# looks at this once, at the first path of any kind.
os.environ.setdefault("EPATH_USE_TF", "0")

_START = "gs://"
_FOLDERS = ("/", "/.folder")  # ends of names that stand for a folder
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_EMULATOR = "STORAGE_EMULATOR_HOST"  # what Google's own libraries read
_INSTALL = "pip install 'sclc_jax[gcs]'"
_TIMEOUT_S = 20
READ = ("storage.objects.get", "storage.objects.list")
WRITE = (*READ, "storage.objects.create", "storage.objects.delete")


def is_remote(path: str | os.PathLike) -> bool:
  """Whether a path lies in a bucket."""
  return os.fspath(path).startswith(_START)


def to_path(path: str | os.PathLike) -> Path:
  """A path of this machine, or in a bucket."""
  if not is_remote(path):
    return pathlib.Path(path)
  _set_up()
  from etils import epath

  return epath.Path(path)


def check(flag: str, path: str, permissions: tuple[str, ...] = READ) -> None:
  """Raises a ValueError where a path with a scheme cannot be used.

  One request for each bucket; paths without a scheme take none.

  Args:
    flag: to name in the error.
    path: as given.
    permissions: what is to be done with it.
  """
  scheme = _SCHEME.match(path)
  if scheme is None:
    return
  if scheme.group() != _START:
    raise ValueError(
      f"{flag} {path}: only files of this machine and of Google Cloud Storage "
      "(gs://) can be used; copy or mount it, and give the local path."
    )
  bucket = path.removeprefix(_START).partition("/")[0]
  if not bucket:
    raise ValueError(f"{flag} {path} names no bucket; give gs://BUCKET/NAME.")
  if importlib.util.find_spec("gcsfs") is None:
    raise ValueError(
      f"{flag} {path} needs the package gcsfs, which is not installed; "
      f"{_INSTALL}."
    )
  problem = _problem(bucket, permissions)
  if problem:
    raise ValueError(f"{flag} {path}: {problem}.")


@functools.cache
def _problem(bucket: str, permissions: tuple[str, ...]) -> str:
  """Why a bucket cannot be used, and what helps; empty where it can."""
  _set_up()
  import google.auth.credentials
  import google.auth.exceptions
  import google.auth.transport.requests
  import requests

  server = os.environ.get(_EMULATOR)
  try:
    if server:
      credentials = google.auth.credentials.AnonymousCredentials()
    else:
      credentials, _ = google.auth.default(
        ["https://www.googleapis.com/auth/devstorage.read_write"]
      )
    session = google.auth.transport.requests.AuthorizedSession(credentials)
    answer = session.get(
      f"{server or 'https://storage.googleapis.com'}/storage/v1/b/{bucket}"
      "/iam/testPermissions",
      params={"permissions": permissions},
      timeout=_TIMEOUT_S,
    )
  except google.auth.exceptions.DefaultCredentialsError:
    return (
      "there are no Google credentials; run 'gcloud auth application-default "
      "login', or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
    )
  except (
    google.auth.exceptions.GoogleAuthError, requests.RequestException
  ) as error:  # fmt: skip
    kind = type(error).__name__
    return (
      f"{server or 'Google Cloud Storage'} cannot be reached ({kind}); look at "
      f"the network, the credentials and {_EMULATOR}"
    )
  if answer.status_code == 404:
    return f"there is no bucket {bucket}; make it, or name another"
  granted = ()
  if answer.ok:
    granted = answer.json().get("permissions", ())
  lacking = [name for name in permissions if name not in granted]
  if lacking:
    return (
      f"the credentials lack {', '.join(lacking)} on the bucket {bucket} "
      f"(HTTP {answer.status_code}); grant roles/storage.objectUser"
    )
  return ""


def read(path: str | os.PathLike) -> bytes:
  """A whole object; an OSError says why it cannot be read."""
  with _as_os_error(path):
    return _files().cat_file(os.fspath(path))


def write(path: str | os.PathLike, data: bytes) -> None:
  """Writes an object, whole or not at all; an OSError says why not."""
  with _as_os_error(path):
    _files().pipe_file(os.fspath(path), data)


def exists(path: str | os.PathLike) -> bool:
  """Whether there is an object of this name, or one below it."""
  with _as_os_error(path):
    return _files().exists(os.fspath(path))


def is_folder(path: str | os.PathLike) -> bool:
  """Whether there is an object below this name."""
  with _as_os_error(path):
    return _files().isdir(os.fspath(path))


def size(path: str | os.PathLike) -> int:
  """Bytes of an object."""
  with _as_os_error(path):
    return _files().info(os.fspath(path))["size"]


def find(folder: str | os.PathLike) -> list[str]:
  """Every object below a folder, as gs://..., in order."""
  with _as_os_error(folder):
    names = _files().find(os.fspath(folder))
  return [_START + name for name in names if not name.endswith(_FOLDERS)]


def match(pattern: str) -> list[str]:
  """What a pattern with *, ? and ** stands for, as gs://..., in order."""
  with _as_os_error(pattern):
    return [_START + name for name in sorted(_files().glob(pattern))]


def remove(folder: str | os.PathLike) -> None:
  """Removes all that is below a folder; nothing where there is nothing."""
  with _as_os_error(folder), contextlib.suppress(FileNotFoundError):
    _files().rm(os.fspath(folder), recursive=True)


def move(folder: str | os.PathLike, target: str | os.PathLike) -> None:
  """Copies all that is below a folder to another, then removes it."""
  start = os.fspath(folder)
  with _as_os_error(folder):
    for name in find(folder):
      _files().cp_file(name, os.fspath(target) + name.removeprefix(start))
  remove(folder)


def kvstore(folder: str | os.PathLike) -> dict[str, str]:
  """What tensorstore opens a folder by."""
  name = os.fspath(folder).rstrip("/") + "/"
  if not is_remote(folder):
    return {"driver": "file", "path": name}
  bucket, _, path = name.removeprefix(_START).partition("/")
  return {"driver": "gcs", "bucket": bucket, "path": path}


def _files() -> Any:
  """The file system that epath uses."""
  _set_up()
  import fsspec

  return fsspec.filesystem("gcs", finalize_on_close=True)


@functools.cache
def _set_up() -> None:
  """Settings of libraries that reach buckets; what the user has set stays."""
  server = os.environ.get(_EMULATOR)
  if server:
    os.environ.setdefault("TENSORSTORE_GCS_HTTP_URL", server)
    os.environ.setdefault("GOOGLE_AUTH_TOKEN_FOR_TESTING", "none")
    os.environ.setdefault("CLOUD_STORAGE_EMULATOR_ENDPOINT", server)
  from sclc_jax import bucket_folders

  bucket_folders.register()


@contextlib.contextmanager
def _as_os_error(path: str | os.PathLike) -> Iterator[None]:
  """Whatever goes wrong inside becomes an OSError that says it in a line."""
  try:
    yield
  except FileNotFoundError:
    raise FileNotFoundError("there is no such object") from None
  except Exception as error:  # of gcsfs, aiohttp, requests, google.auth
    lines = str(error).strip().splitlines() or [type(error).__name__]
    raise OSError(lines[-1][:200]) from None
