"""A folder of this machine and its copy in a bucket."""

import pytest

from sclc_jax import buckets, files
from sclc_jax.train import mirror
from sclc_jax.train.mirror import Mirror


def test_what_changes_is_copied_and_nothing_else(bucket, monkeypatch):
  files.write_whole(f"{bucket}/log.csv", b"old\n")
  written = []
  monkeypatch.setattr(
    mirror, "write_whole",
    lambda path, data: written.append(str(path))
    or files.write_whole(path, data),
  )  # fmt: skip
  copy = Mirror(buckets.to_path(bucket), ("log.csv", "other.csv"))
  assert (copy.folder / "log.csv").read_bytes() == b"old\n"
  (copy.folder / "sub").mkdir()
  (copy.folder / "sub" / "events").write_bytes(b"1")
  copy.push()
  assert files.read_whole(f"{bucket}/sub/events") == b"1"
  del written[:]
  with (copy.folder / "log.csv").open("a") as file:
    file.write("new\n")
  copy.push_now_and_then()  # it has just been done
  assert not written
  copy.close()
  assert written == [f"{bucket}/log.csv"]
  assert files.read_whole(f"{bucket}/log.csv") == b"old\nnew\n"
  assert not copy.folder.exists()


def test_a_folder_of_this_machine_is_its_own_copy(tmp_path):
  (tmp_path / "log.csv").write_bytes(b"1")
  copy = Mirror(tmp_path, ("log.csv",))
  copy.push()
  copy.close()
  assert copy.folder == tmp_path
  assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_a_copy_that_fails_is_told_and_made_later(bucket, monkeypatch, capsys):
  copy = Mirror(buckets.to_path(bucket))
  (copy.folder / "a").write_bytes(b"1")

  def fails(path, data):
    raise OSError("quota exceeded")

  with monkeypatch.context() as patch:
    patch.setattr(buckets, "write", fails)
    copy.push()
    error = capsys.readouterr().err
    assert "quota exceeded" in error and error.count("\n") == 1
    with pytest.raises(ValueError, match=f"what is left lies in {copy.folder}"):
      copy.close()
  copy.close()
  assert files.read_whole(f"{bucket}/a") == b"1" and not copy.folder.exists()
