"""A plan as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sclc_jax.plan.stage import StagePlan

_GIB = 2**30


def to_json(plans: Sequence[StagePlan]) -> str:
  """A list with one object a stage; null where a step does not fit."""
  return json.dumps([_record(plan) for plan in plans])


def _record(plan: StagePlan) -> dict[str, Any]:
  return {
    "stage": plan.stage.name,
    "chips": plan.chips,
    "memory_bytes": plan.memory,
    "memory_limit_bytes": int(plan.limit),
    "flops": plan.flops,
    "traffic_bytes": plan.traffic_bytes,
    "operations": _count(plan, beside=False),
    "compute_s": plan.compute_s,
    "traffic_s": plan.traffic_s,
    "images_per_s": plan.images_per_s,
    "hours": plan.hours,
  }


def _count(plan: StagePlan, beside: bool) -> float | None:
  """Operations of a step, or the copies that run beside them."""
  if plan.operations is None:
    return None
  times = sum(o.times for o in plan.operations if o.beside == beside)
  return round(times)


def table(plans: Sequence[StagePlan], largest: Sequence[int] | None) -> str:
  """A column a stage, a line a quantity; per device and step, if not said.

  Args:
    plans: of the stages.
    largest: batch of a device that was compiled and fits; estimated if None.
  """
  columns = [_cells(plan) for plan in plans]
  for number, (plan, cells) in enumerate(zip(plans, columns, strict=True)):
    if largest is not None:
      cells["largest batch a chip, compiled"] = str(largest[number])
    elif plan.fits:
      cells["largest batch a chip, estimated"] = f"{plan.likely_share:,}"
  names = dict.fromkeys(name for cells in columns for name in cells)
  rows = [["", *(plan.stage.name for plan in plans)]]
  rows += [[name, *(c.get(name, "-") for c in columns)] for name in names]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return "\n".join(
    "  ".join(
      cell.ljust(width) if i == 0 else cell.rjust(width)
      for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in rows
  )


def _cells(plan: StagePlan) -> dict[str, str]:
  cells = {
    "chips": str(plan.chips),
    "batch a chip": str(plan.share),
    "memory GiB": f"{plan.memory / _GIB:.2f}",
    "of GiB": f"{plan.limit / _GIB:.2f}",
    "fits": "yes" if plan.fits else "no",
    "GFLOP": f"{plan.flops / 1e9:.4g}",
    "compute ms": f"{plan.compute_s * 1e3:.3g}",
  }
  if plan.operations is not None:
    exchanged = [o for o in plan.operations if o.kind == "collective"]
    cells |= {
      "traffic GB": f"{plan.traffic_bytes / 1e9:.3g}",
      "traffic ms": f"{plan.traffic_s * 1e3:.3g}",
      "bound by": plan.bound,
      "operations": f"{_count(plan, beside=False):,}",
      "copies beside them": f"{_count(plan, beside=True):,}",
      "collectives": f"{sum(o.times for o in exchanged):.3g}",
      "collectives MB": f"{sum(o.size * o.times for o in exchanged) / 1e6:.3g}",
      "images/s, all chips": f"{plan.images_per_s:,.0f}",
      "steps": f"{plan.stage.stop - plan.stage.start:,}",
      "hours": f"{plan.hours:.3g}",
    }
  return cells


def summary(plans: Sequence[StagePlan]) -> str:
  """What a person should know, in one line."""
  if missing := [plan for plan in plans if not plan.fits]:
    worst = max(missing, key=lambda plan: plan.memory)
    return (
      f"does not fit: stage {worst.stage.name} needs "
      f"{worst.memory / _GIB:.2f} GiB of {worst.limit / _GIB:.2f} a chip; "
      "take a smaller --batch-per-chip, or train.accumulate"
    )
  hours = sum(plan.hours for plan in plans)
  return (
    f"fits; at least {hours:.3g} hours in all on {plans[0].chips} x "
    f"{plans[0].chip.kind}, if nothing waits"
  )


def largest_operations(plan: StagePlan, count: int) -> str:
  """The operations that move most, a line each."""
  names = "MB", "read", "written", "kind", "operation", "result", "source"
  lines = ["\t".join((*names, "traced"))]
  operations = sorted(plan.operations, key=lambda o: -o.bytes)
  for o in operations[:count]:
    read, written = (part * o.times / 1e6 for part in (o.read, o.written))
    lines.append(
      f"{o.bytes / 1e6:.1f}\t{read:.1f}\t{written:.1f}\t{o.kind}\t{o.name}\t"
      f"{o.shape}\t{o.source}\t{o.op_name}".rstrip()
    )
  return "\n".join(lines)
