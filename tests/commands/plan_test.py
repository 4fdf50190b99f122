"""`sclc plan` on this machine's devices."""

import json

import jax
import pytest
from cli_runs import run

KEYS = [
  "stage", "chips", "memory_bytes", "memory_limit_bytes", "flops",
  "traffic_bytes", "operations", "compute_s", "traffic_s", "images_per_s",
  "hours",
]  # fmt: skip
TINY = (
  "plan", "--config", "smoke", "--stage", "base", "--config.model.N=2",
  "--config.model.M=2", "--config.data.batch_size=2",
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
  patch = pytest.MonkeyPatch()
  patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
  yield
  patch.undo()


def test_json_has_one_object_a_stage():
  done = run(*TINY, "--topology", "local", "--json", "--quiet")
  (record,) = json.loads(done.out)
  assert done.code == 0 and done.err == ""
  assert list(record) == KEYS
  assert record["stage"] == "base"
  assert record["memory_bytes"] < record["memory_limit_bytes"]


def test_the_table_says_whether_it_fits_and_what_moves_most():
  done = run(*TINY, "--ops", "3")
  text = done.out.decode()
  assert "fits" in text and "bound by" in text and "estimated" in text
  assert "hours in all" in done.err
  rows = text.split("what moves most bytes\n")[1].splitlines()[1:]
  moved = [float(row.split("\t")[0]) for row in rows]
  assert len(moved) == 3 and moved == sorted(moved, reverse=True)


def test_a_batch_for_each_chip_replaces_that_of_the_config():
  done = run(*TINY, "--batch-per-chip", "2", "--config.data.batch_size=5")
  assert f"batch {2 * jax.device_count()}," in done.err
