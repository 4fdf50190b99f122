import os
import subprocess
import sys

import pytest

from sclc_jax.malloc import HUGE_PAGES, KEEP

_CHILD = """
import os, platform, sys
from sclc_jax import malloc
if sys.argv[1] != "glibc":
  platform.libc_ver = lambda: (sys.argv[1], "")
print("started", flush=True)
malloc.restart(sys.argv[2])
print(os.environ.get("GLIBC_TUNABLES"), sys.argv[3:], sys.flags.dev_mode)
"""


def _output(libc: str, before: str, tunables: str = KEEP) -> list[str]:
  env = os.environ | {"GLIBC_TUNABLES": before}
  env.pop("SCLC_JAX_RESTARTED", None)
  command = [sys.executable, "-X", "dev", "-c", _CHILD, libc]
  command += [tunables, "a b", "c"]
  done = subprocess.run(command, capture_output=True, text=True, env=env)
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


@pytest.mark.parametrize(
  "before, tunables, after",
  [
    ("", HUGE_PAGES, HUGE_PAGES),
    ("glibc.rtld.nns=4", KEEP, f"glibc.rtld.nns=4:{KEEP}"),
  ],
)
def test_starts_once_more_with_all_arguments(before, tunables, after):
  lines = _output("glibc", before, tunables)
  assert lines == ["started"] * 2 + [f"{after} ['a b', 'c'] True"]


@pytest.mark.parametrize(
  "libc, before",
  [("musl", ""), ("glibc", "glibc.malloc.hugetlb=0")],
)
def test_leaves_a_process_alone(libc, before):
  lines = _output(libc, before)
  assert lines == ["started", f"{before} ['a b', 'c'] True"]
