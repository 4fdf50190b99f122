"""One bad argument never stops the others."""

import csv
import os
import socket

import numpy as np
import pytest

from sclc_jax.commands import export
from sclc_jax.images import load_image


@pytest.fixture
def bad(album):
  """Things that are no photo."""
  (album / "notes").mkdir()
  (album / "notes" / "x.txt").write_text("x")
  (album / "cut.png").write_bytes((album / "a.png").read_bytes()[:2000])
  os.symlink("loop.png", "loop.png")
  os.symlink("nowhere.png", "dangling.png")
  (album / "a\nb.jpg").write_text("x")
  with open(os.fsencode("bytes") + b"\xff.jpg", "wb") as file:
    file.write(b"x")
  return album


@pytest.mark.parametrize(
  "name",
  ["notes", "*.webp", "x" * 300 + ".jpg", "x" * 250 + ".png", "cut.png", "",
   "loop.png", "dangling.png", "a.png/b.png", "no.png", "a\nb.jpg", "x\x1b[2J",
   "bytes\udcff.jpg", "no/*/thing", "[", "/dev/null", "/dev/fd/99"],
)  # fmt: skip
@pytest.mark.parametrize("order", [1, -1])
def test_the_others_are_coded_and_the_bad_one_is_told_on_one_line(
  sclc, bad, name, order
):
  done = sclc("compress", *[name, "a.png", "b.png"][::order], "-o", "out")
  assert done.code == 1
  lines = done.err.splitlines()
  assert len(done.errors) == 1 and len(lines) == 2
  assert lines[0].startswith("sclc compress: error: ")
  assert "2 files" in lines[1] and "1 failed" in lines[1]
  assert sorted(os.listdir("out")) == ["a.sclc", "b.sclc"]
  assert "\x1b" not in done.err and "Traceback" not in done.err


def test_a_socket_is_told_as_any_other_bad_file(sclc, bad):
  with socket.socket(socket.AF_UNIX) as listening:
    listening.bind("sock.png")
    done = sclc("compress", "sock.png", "a.png", "-o", "out")
  assert done.code == 1 and len(done.errors) == 1
  assert os.listdir("out") == ["a.sclc"]


def test_a_folder_that_cannot_be_read_is_named(sclc, bad, monkeypatch):
  os.mkdir("closed")
  scandir = os.scandir

  def guarded(path):
    if os.path.basename(path) == "closed":
      raise PermissionError(13, "Permission denied", os.fspath(path))
    return scandir(path)

  monkeypatch.setattr(os, "scandir", guarded)
  done = sclc("compress", "closed", "a.png", "-o", "out")
  assert done.code == 1 and len(done.errors) == 1
  assert "closed: Permission denied" in done.errors[0]
  assert os.listdir("out") == ["a.sclc"]


def test_an_unforeseen_error_is_one_line_too(sclc, album, monkeypatch):
  from sclc_jax import images

  load = images.load_photo
  seen = []

  def odd(data, *args):
    seen.append(data)
    if data == (album / "a.png").read_bytes():
      raise TypeError("odd\nindeed")
    return load(data, *args)

  monkeypatch.setattr(images, "load_photo", odd)
  done = sclc("compress", "a.png", "b.png", "-o", "out")
  assert done.code == 1 and len(seen) == 2 and len(done.errors) == 1
  assert "a.png" in done.errors[0] and "TypeError" in done.errors[0]
  assert os.listdir("out") == ["b.sclc"]


def test_evaluate_measures_what_can_be_read_and_says_so(sclc, album):
  args = ("evaluate", "--images", "set", "--quality", 2, 4, "--csv")
  os.mkdir("set")
  for name in ("a.png", "b.png"):
    os.link(name, f"set/{name}")
  assert sclc(*args, "whole.csv", "--quiet").code == 0
  (album / "set" / "c.png").write_bytes((album / "a.png").read_bytes()[:900])
  done = sclc(*args, "rows.csv", "--quiet")
  assert done.code == 1 and len(done.errors) == 1 and "c.png" in done.errors[0]
  assert "1 of 3" in done.err and b"psnr_db" in done.out

  def rows(path):
    with open(path) as file:
      return [
        {k: v for k, v in row.items() if not k.endswith("_s")}
        for row in csv.DictReader(file)
      ]

  assert rows("rows.csv") == rows("whole.csv")


def test_a_fit_leaves_out_and_reports_damaged_photos(album, capsys):
  import argparse

  args = argparse.Namespace(command="export", quiet=True, failures=0)
  (album / "cut.png").write_bytes((album / "a.png").read_bytes()[:2000])
  photos = list(export.photos_to_fit(args, "--fit-tables", "."))
  assert len(photos) == 2 and args.failures == 1
  np.testing.assert_array_equal(photos[0], load_image("a.png"))
  error = capsys.readouterr().err
  assert error.startswith("sclc export: error: ") and "cut.png" in error
  for name in ("a.png", "b.png"):
    os.remove(name)
  with pytest.raises(ValueError, match="no image that can be read"):
    list(export.photos_to_fit(args, "--fit-tables", "."))
