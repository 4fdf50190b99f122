"""Files in buckets, by a server on this machine."""

import importlib.util
import os

import google.auth.transport.requests
import pytest
import requests

from sclc_jax import buckets, files


@pytest.mark.parametrize("size", [0, 1, 100_000, 9_000_000])
def test_what_is_written_is_read(bucket, size):
  data = bytes(range(250)) * (size // 250) + b"x" * (size % 250)
  files.write_whole(f"{bucket}/a/b.bin", data)
  assert files.read_whole(f"{bucket}/a/b.bin") == data
  assert files.size(f"{bucket}/a/b.bin") == size
  assert files.is_there(f"{bucket}/a/b.bin") and files.is_folder(f"{bucket}/a")
  assert not files.is_there(f"{bucket}/a/c")
  assert not files.is_folder(bucket[:-1])


def test_a_folder_is_listed_as_one_of_this_machine(bucket, tmp_path):
  names = ("b.png", "a.PNG", "sub/c.png", "t.txt", ".h.png", "sub/.d/e.png",
           "bare")  # fmt: skip
  for name in names:
    files.write_whole(f"{bucket}/{name}", b"1")
    files.write_whole(tmp_path / name, b"1", make_folder=True)
  remote = files.list_files(bucket, {".png"})
  local = files.list_files(tmp_path, {".png"})
  assert [str(path.relative_to(bucket)) for path in remote.files] == [
    str(path.relative_to(tmp_path)) for path in local.files
  ]
  assert remote.left_out == local.left_out and not remote.errors
  assert [str(path) for path in files.matches(f"{bucket}/*.png")] == [
    f"{bucket}/.h.png", f"{bucket}/b.png"
  ]  # fmt: skip


def test_what_others_write_is_seen_at_once(bucket):
  assert buckets.find(bucket) == []
  path = buckets.to_path(f"{bucket}/new.txt")
  assert not path.exists()
  server = os.environ["STORAGE_EMULATOR_HOST"]
  endpoint = f"{server}/upload/storage/v1/b/bucket/o"
  name = f"{bucket.removeprefix('gs://bucket/')}/new.txt"
  requests.post(
    endpoint, params={"uploadType": "media", "name": name}, data=b"hello"
  ).raise_for_status()
  assert path.exists() and path.read_text() == "hello"
  assert buckets.find(bucket) == [f"{bucket}/new.txt"]


def test_a_folder_is_there_once_it_is_made(bucket):
  folder = buckets.to_path(f"{bucket}/a/b")
  folder.mkdir(parents=True, exist_ok=True)
  assert files.is_folder(f"{bucket}/a/b") and files.is_folder(bucket)
  folder.mkdir(parents=True, exist_ok=True)
  listing = files.list_files(f"{bucket}/a", {".png"})
  assert not listing.files and not listing.left_out


def test_a_moved_folder_replaces_another(bucket):
  for name in ("old/a/1", "old/2", "new/9"):
    files.write_whole(f"{bucket}/{name}", name.encode())
  files.move_folder(f"{bucket}/old", f"{bucket}/new")
  assert buckets.find(bucket) == [f"{bucket}/new/2", f"{bucket}/new/a/1"]
  assert files.read_whole(f"{bucket}/new/a/1") == b"old/a/1"
  files.remove_folder(f"{bucket}/new")
  files.remove_folder(f"{bucket}/new")
  assert buckets.find(bucket) == []


def test_what_is_not_there_cannot_be_read(bucket):
  with pytest.raises(ValueError, match="cannot read gs://.*no such object"):
    files.read_whole(f"{bucket}/no")


@pytest.fixture
def ask_anew(monkeypatch):
  buckets._problem.cache_clear()
  yield
  buckets._problem.cache_clear()


@pytest.mark.parametrize(
  ("path", "text"),
  [
    ("s3://bucket/x", "--workdir s3://bucket/x: only files of this machine"),
    ("gs://", "names no bucket"),
    ("gs://nobody/x", "there is no bucket nobody; make it, or name another"),
  ],
)
def test_a_path_that_cannot_be_used_is_refused(bucket, ask_anew, path, text):
  with pytest.raises(ValueError) as error:
    buckets.check("--workdir", path, buckets.WRITE)
  assert text in str(error.value) and "\n" not in str(error.value)
  buckets.check("--workdir", bucket, buckets.WRITE)
  buckets.check("--workdir", "local/x")


def test_without_gcsfs_its_installation_is_named(bucket, monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ValueError, match=r"pip install 'sclc_jax\[gcs\]'"):
    buckets.check("-o", f"{bucket}/x")


def test_a_server_that_is_not_there_is_told_soon(monkeypatch, ask_anew):
  monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
  with pytest.raises(ValueError, match="127.0.0.1:9 cannot be reached"):
    buckets.check("-o", "gs://bucket/x")


def test_permissions_that_are_lacking_are_named(bucket, monkeypatch, ask_anew):
  answer = requests.Response()
  answer.status_code, answer._content = 200, b'{"permissions": ["%s"]}' % (
    b'", "'.join(name.encode() for name in buckets.READ)
  )
  monkeypatch.setattr(
    google.auth.transport.requests.AuthorizedSession, "get",
    lambda *args, **kwargs: answer,
  )  # fmt: skip
  buckets.check("--images", bucket)
  with pytest.raises(ValueError, match="lack storage.objects.create, .*grant"):
    buckets.check("-o", bucket, buckets.WRITE)
