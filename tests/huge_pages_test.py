import os
import subprocess
import sys

import pytest

_CHILD = """
import os, pathlib, sys
from sclc_jax import huge_pages
huge_pages._MODE = pathlib.Path(sys.argv[1])
print("started", flush=True)
huge_pages.restart()
print(os.environ.get("GLIBC_TUNABLES"), sys.argv[2:], sys.flags.dev_mode)
"""


def _output(mode_file, tunables: str) -> list[str]:
  env = os.environ | {"GLIBC_TUNABLES": tunables}
  env.pop("SCLC_JAX_RESTARTED", None)
  command = [sys.executable, "-X", "dev", "-c", _CHILD, mode_file, "a b", "c"]
  done = subprocess.run(command, capture_output=True, text=True, env=env)
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


@pytest.mark.parametrize(
  "before, after",
  [
    ("", "glibc.malloc.hugetlb=1"),
    ("glibc.malloc.check=0", "glibc.malloc.check=0:glibc.malloc.hugetlb=1"),
  ],
)
def test_starts_once_more_with_all_arguments(tmp_path, before, after):
  (tmp_path / "enabled").write_text("always [madvise] never\n")
  lines = _output(tmp_path / "enabled", before)
  assert lines == ["started"] * 2 + [f"{after} ['a b', 'c'] True"]


@pytest.mark.parametrize(
  "mode, tunables",
  [
    ("[always] madvise never", ""),
    ("always madvise [never]", ""),
    ("always [madvise] never", "glibc.malloc.hugetlb=0"),
    (None, ""),
  ],
)
def test_leaves_a_process_alone(tmp_path, mode, tunables):
  if mode is not None:
    (tmp_path / "enabled").write_text(mode)
  lines = _output(tmp_path / "enabled", tunables)
  assert lines == ["started", f"{tunables} ['a b', 'c'] True"]
