import os

import pytest

from sclc_jax import files
from sclc_jax.files import HIDDEN, list_files, read_whole, write_whole


def test_a_written_file_follows_the_umask_and_leaves_it_alone(
  tmp_path, monkeypatch
):
  calls = []
  before = os.umask(0o027)
  try:
    with monkeypatch.context() as patch:
      # Set for a moment, it is that of all threads.
      patch.setattr(os, "umask", lambda mask: calls.append(mask) or 0o027)
      write_whole(tmp_path / "a", b"new")
  finally:
    os.umask(before)
  assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640 and not calls


def test_what_cannot_be_written_leaves_the_old_file_and_no_other(
  tmp_path, monkeypatch
):
  write_whole(tmp_path / "a", b"old")

  def full(*unused):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "replace", full)
  with pytest.raises(ValueError, match="cannot write .*No space"):
    write_whole(tmp_path / "a", b"new")
  assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_listing_has_plain_files_of_all_folders_once(tmp_path):
  names = ["z.jpg", "sub/a.JPG", "trip.jpg/d.jpg", "b.jfif", "sub/deep/a.jpg"]
  others = ["e.heic", "f.heic", "notes.txt", "bare", ".hidden.jpg",
            ".cache/x.jpg", "sub/._a.jpg"]  # fmt: skip
  for name in (*names, *others):
    (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "album" / name).write_bytes(b"")
  (tmp_path / "else").mkdir()
  (tmp_path / "else" / "y.jpg").write_bytes(b"")
  os.mkfifo(tmp_path / "album" / "pipe.jpg")
  for name, target in (("link", "../else"), ("up", ".."), ("again", "sub"),
                       ("nowhere.jpg", "no"), ("sub/here", "."),
                       ("c.jpg", "../else/y.jpg")):  # fmt: skip
    os.symlink(target, tmp_path / "album" / name)
  listing = list_files(tmp_path / "album", {".jpg", ".jfif"})
  paths = [p.relative_to(tmp_path / "album").as_posix() for p in listing.files]
  assert paths == sorted(paths) and not listing.errors
  assert set(paths) == {*names, "link/y.jpg", "c.jpg"}
  assert listing.left_out == {
    ".heic": 2, ".txt": 1, "name without a suffix": 1, HIDDEN: 3, "pipe": 1,
    "link to a folder that is walked already": 3, "link that leads nowhere": 1,
  }  # fmt: skip


def test_a_stream_without_an_end_is_refused(monkeypatch):
  monkeypatch.setattr(files, "_MOST_BYTES", 2**23)
  with pytest.raises(ValueError, match="/dev/zero has more than"):
    read_whole("/dev/zero")
