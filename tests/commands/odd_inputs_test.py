"""Odd names, outputs and flags: one line an error, and nothing is lost."""

import os
import shutil

import hypothesis
import hypothesis.strategies as st
from cli_runs import run

_NAMES = (
  "a.png", "b.png", "./a.png", "folder", "folder/", "empty", "no.png", "*.png",
  "*/*.png", "[", "**", "", "-", "x" * 300, "a.png/b", "loop", "pipe", ".",
  "h\udcff.png", "a\nb.png", "\u2028", "~", "$HOME", "a.sclc", "bad.sclc",
  "m.sclcm", "file://a.png", "a.png\x00", "/dev/null", "/proc/self/mem",
)  # fmt: skip
_FLAGS = (
  ("--quality", "3"), ("--quality", "nan"), ("--quality", "8.5"),
  ("--effort", "-1"), ("--max-pixels", "5"), ("--target-bpp", "1e9"),
  ("--threads", "0"), ("--force",), ("--quiet",), ("--nonsense",),
  ("--quality-map", "b.png"), ("--json",), ("--model", "nope"),
)  # fmt: skip
_NAME = st.sampled_from([n for n in _NAMES if n != "pipe"])


@hypothesis.settings(
  max_examples=60, deadline=None, derandomize=True,
  suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
@hypothesis.given(
  command=st.sampled_from(["compress", "compress", "decompress", "info"]),
  inputs=st.lists(_NAME, min_size=1, max_size=3),
  output=st.one_of(st.none(), _NAME, st.sampled_from(["out", "o.jpg", "o.x"])),
  flags=st.lists(st.sampled_from(_FLAGS), max_size=2),
)
def test_every_error_is_one_line_and_no_input_changes(
  album, sclc, command, inputs, output, flags
):
  shutil.rmtree("work", ignore_errors=True)
  os.makedirs("work/folder/sub")
  os.mkdir("work/empty")
  for name in ("a.png", "b.png", "folder/a.png", "folder/sub/b.png"):
    shutil.copy(os.path.basename(name), f"work/{name}")
  shutil.copy("m.sclcm", "work/m.sclcm")
  for name in ("bad.sclc", "h\udcff.png"):
    with open(os.path.join("work", name), "wb") as file:
      file.write(b"neither")
  os.symlink("loop", "work/loop")
  os.chdir("work")
  try:
    before = {name: _read(name) for name in _files()}
    args = [command, *inputs]
    args += [] if output is None else ["-o", output]
    args += [word for flag in flags for word in flag]
    done = run(*args, *(() if "nope" in args else ("--model", "m.sclcm")))
    assert done.code in (0, 1, 2), done
    assert "Traceback" not in done.err
    for line in done.err.splitlines():
      assert line.startswith(f"sclc {command}: ")
    assert bool(done.errors) == (done.code != 0)
    after = set(_files())
    assert not [name for name in after if ".sclc-" in name]
    named = {os.path.normpath(output)} if output else set()
    for name, data in before.items():
      assert name in named or _read(name) == data
    read = {os.path.normpath(name) for name in inputs} | {"m.sclcm"}
    for name in read & named & set(before):
      assert _read(name) == before[name]
  finally:
    os.chdir("..")


def _files():
  return [
    os.path.normpath(os.path.join(folder, name))
    for folder, _, names in os.walk(".")
    for name in names
  ]


def _read(name):
  if os.path.islink(name):
    return os.readlink(name)
  with open(name, "rb") as file:
    return file.read()
