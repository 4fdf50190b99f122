import os

import pytest

from sclc_jax.files import write_whole


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
