"""stdin, stdout and stderr that are closed, full, or of few characters."""

import json
import os
import subprocess
import sys

import pytest

SCLC = f"{sys.executable} -m sclc_jax"


def _shell(line, unbuffered=""):
  return subprocess.run(
    SCLC + line.removeprefix("sclc"), shell=True, capture_output=True,
    text=True, errors="surrogateescape",
    env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
  )  # fmt: skip


def test_a_file_is_written_and_is_no_failure_if_stdout_is_closed(album):
  done = _shell("sclc compress a.png -o x.sclc --model m.sclcm --quiet >&-")
  assert (done.returncode, done.stderr) == (0, "")
  assert (album / "x.sclc").read_bytes()[:3] == b"SCL"


@pytest.mark.parametrize(
  "line, code, words",
  [
    ("sclc compress - --model m.sclcm <&-", 1, "stdin is closed"),
    ("sclc compress - <&- >&-", 1, "stdin is closed"),
    ("sclc info - <&-", 1, "stdin is closed"),
    ("sclc info - 0>x", 1, "cannot read stdin"),
    ("sclc compress no.png >&-", 1, "no.png"),
    ("sclc compress no.png <&- >&- 2>&-", 1, ""),
    ("sclc compress no.png 2>/dev/full", 1, ""),
    ("sclc models >&-", 1, "stdout is closed"),
    ("sclc --version >&-", 1, "stdout is closed"),
    ("sclc --version >/dev/full", 1, "No space left"),
    ("sclc --help >/dev/full", 1, "No space left"),
    ("sclc --version 1</dev/null", 1, "cannot write to stdout"),
    ("sclc compress --nonsense a.png", 2, "--nonsense"),
    ("sclc compress", 2, "inputs"),
    ("sclc nonsense", 2, "nonsense"),
    ("sclc compress a.png --quality high 2>&-", 2, ""),
  ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_a_stream_cannot_do_is_one_line(
  album, line, code, words, unbuffered
):
  done = _shell(line, unbuffered)
  assert done.returncode == code and words in done.stderr
  assert len(done.stderr.splitlines()) == bool(words)
  assert all(": error: " in text for text in done.stderr.splitlines())


def test_a_full_stdout_fails_and_the_file_is_there(album):
  done = _shell("sclc compress a.png --model m.sclcm >/dev/full")
  assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
  assert "cannot write to stdout: No space left" in done.stderr
  assert "a.png" not in done.stderr and (album / "a.sclc").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("name", ["h\udcff", "h\u00e9", "\u82b1", "a\nb"])
def test_names_of_any_bytes_come_out_on_one_line(sclc, album, name, encoding):
  os.rename("a.png", f"{name}.png")
  done = sclc("compress", f"{name}.png", "no.png", encoding=encoding)
  assert done.code == 1 and len(done.out.splitlines()) == 1
  assert os.path.exists(f"{name}.sclc") and len(done.errors) == 1
  if encoding == "utf-8" and "\n" not in name:
    assert done.out.split(b"\t")[0] == os.fsencode(f"{name}.sclc")
  done = sclc("compress", f"{name}.png", encoding=encoding)
  assert done.code == 1 and len(done.err.splitlines()) == 1
  done = sclc("info", f"{name}.sclc", "--json", encoding=encoding)
  assert done.code == 0 and json.loads(done.out)["width"] == 48
  os.mkdir("set")
  os.rename(f"{name}.png", f"set/{name}.png")
  done = sclc("evaluate", "--images", "set", "--quality", 4, "--csv", "r.csv",
              "--quiet", encoding=encoding)  # fmt: skip
  assert done.code == 0
  assert os.fsencode(name) in (album / "r.csv").read_bytes()
