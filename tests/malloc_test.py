import os
import subprocess
import sys

import pytest

from sclc_jax.malloc import TUNABLES

_CHILD = """
import os, platform, sys
from sclc_jax import malloc
if sys.argv[1] != "glibc":
  platform.libc_ver = lambda: (sys.argv[1], "")
print("started", flush=True)
malloc.restart()
print(os.environ.get("GLIBC_TUNABLES"), sys.argv[2:], sys.flags.dev_mode)
"""


def _output(libc: str, tunables: str) -> list[str]:
  env = os.environ | {"GLIBC_TUNABLES": tunables}
  env.pop("SCLC_JAX_RESTARTED", None)
  command = [sys.executable, "-X", "dev", "-c", _CHILD, libc, "a b", "c"]
  done = subprocess.run(command, capture_output=True, text=True, env=env)
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


@pytest.mark.parametrize(
  "before, after",
  [("", TUNABLES), ("glibc.rtld.nns=4", f"glibc.rtld.nns=4:{TUNABLES}")],
)
def test_starts_once_more_with_all_arguments(before, after):
  lines = _output("glibc", before)
  assert lines == ["started"] * 2 + [f"{after} ['a b', 'c'] True"]


@pytest.mark.parametrize(
  "libc, tunables",
  [("musl", ""), ("glibc", "glibc.malloc.hugetlb=0")],
)
def test_leaves_a_process_alone(libc, tunables):
  lines = _output(libc, tunables)
  assert lines == ["started", f"{tunables} ['a b', 'c'] True"]
