"""Plans as a person or a script reads them."""

import dataclasses
import json

from sclc_jax.plan import report
from sclc_jax.plan.chips import Chip
from sclc_jax.plan.stage import StagePlan
from sclc_jax.plan.traffic import Operation
from sclc_jax.train.stages import Stage

GIB = 2**30
CHIP = Chip("TPU v5 lite", 197e12, 197e12, 819e9, 15.75 * GIB)
READ = Operation("copy.1", "copy", 8_000_000, 0, 0, 2.0, False, "f", "a.py:1",
                 "f32[9]")  # fmt: skip
SUM = Operation("all-reduce.1", "collective", 0, 2_000_000, 2_000_000, 1.0,
                True, "g", "b.py:2", "f32[7]")  # fmt: skip
FITS = StagePlan(
  Stage("base", 0, 1000), 256, 8, CHIP, CHIP.flops, 600_000_000, GIB,
  GIB // 4, 15.75 * GIB, [READ, SUM],
)  # fmt: skip
TOO_LARGE = dataclasses.replace(FITS, memory=20 * GIB, operations=None)


def test_the_table_has_a_line_for_every_figure():
  lines = report.table([FITS], None).splitlines()
  cells = dict(line.rsplit("  ", 1) for line in lines)
  cells = {key.strip(): value.strip() for key, value in cells.items()}
  assert cells["memory GiB"] == "1.00" and cells["of GiB"] == "15.75"
  assert cells["traffic GB"] == "0.018" and cells["bound by"] == "traffic"
  assert cells["operations"] == "2" and cells["copies beside them"] == "1"
  assert cells["collectives MB"] == "2"
  # (15.75 - 0.25) / (0.75 / 8)
  assert cells["largest batch a chip, estimated"] == "165"


def test_what_was_compiled_replaces_the_estimate():
  text = report.table([FITS, TOO_LARGE], [200, 0])
  assert "estimated" not in text
  assert text.splitlines()[-1].split() == [
    "largest", "batch", "a", "chip,", "compiled", "200", "0",
  ]  # fmt: skip


def test_what_does_not_fit_says_so_with_both_figures():
  assert "does not fit: stage base needs 20.00 GiB of 15.75 a chip" in (
    report.summary([FITS, TOO_LARGE])
  )
  assert report.summary([FITS]).startswith("fits; at least ")
  (record,) = json.loads(report.to_json([TOO_LARGE]))
  assert record["memory_bytes"] > record["memory_limit_bytes"]
  assert record["traffic_bytes"] is record["hours"] is None


def test_what_moves_most_comes_first():
  rows = report.largest_operations(FITS, 5).splitlines()
  assert [row.split("\t")[0] for row in rows] == ["MB", "16.0", "2.0"]
  assert report.largest_operations(FITS, 1).splitlines() == rows[:2]
