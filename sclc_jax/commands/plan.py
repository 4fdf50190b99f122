"""`sclc plan`."""

from __future__ import annotations

import argparse

from sclc_jax.commands import streams
from sclc_jax.commands.common import Add, note

_RECIPE = "name of a recipe (smoke, small_cpu, pod, ...), or a config file"


def register(add: Add) -> None:
  """Adds the command to the command line."""
  plan = add(
    "plan", _plan,
    "what an experiment needs of accelerators: memory, time, whether it fits",
    _check_plan,
  )  # fmt: skip
  plan.add_argument("--config", required=True, help=_RECIPE)
  plan.add_argument(
    "--topology", default="local",
    help="TPU slice to compile for, by kind and chips a side (v5e:16x16, "
    "v4:2x2x4, v5p:2x2x2, v6e:16x16, tpu7x:2x2x1); none of them has to be "
    "there. local plans for the devices of this machine",
  )  # fmt: skip
  plan.add_argument(
    "--slices", type=_count, default=1,
    help="how many such slices, joined by the data centre's network",
  )  # fmt: skip
  plan.add_argument(
    "--batch-per-chip",
    type=_count,
    help="sets data.batch_size to this times the number of chips",
  )
  plan.add_argument(
    "--stage", action="append", metavar="STAGE",
    help="plan only this stage (may be repeated); all if unset",
  )  # fmt: skip
  plan.add_argument(
    "--data-megapixels", type=_count, default=1, metavar="MP",
    help="size of the training set, for data.device_resident, which keeps it "
    "in every chip's memory at 3 MB a megapixel",
  )  # fmt: skip
  plan.add_argument(
    "--largest-batch", action="store_true",
    help="also compile larger batches, up to the largest that fits, for the "
    "table; without it that is estimated",
  )  # fmt: skip
  form = plan.add_mutually_exclusive_group()
  form.add_argument(
    "--ops", type=_count, metavar="N",
    help="also list the N operations of each stage that move most bytes",
  )  # fmt: skip
  form.add_argument("--json", action="store_true", help="as JSON")
  plan.epilog = (
    "Any --config.KEY=VALUE replaces a value of the config. Compiling takes "
    "minutes a stage at full width; what was compiled is kept in the user's "
    "cache folder."
  )


def _count(text: str) -> int:
  value = int(text)
  if value < 1:
    raise argparse.ArgumentTypeError(f"{text} is less than 1")
  return value


def _check_plan(args) -> None:
  from sclc_jax.plan import topology
  from sclc_jax.runs import experiment
  from sclc_jax.train.stages import stages

  args.experiment = experiment.load_config(args.config, args.overrides)
  args.stages = stages(args.experiment)
  if args.stage:
    names = [stage.name for stage in args.stages]
    for name in args.stage:
      if name not in names:
        raise ValueError(
          f"--stage {name} has no steps in this config; its stages are "
          f"{', '.join(names)}."
        )
    args.stages = [stage for stage in args.stages if stage.name in args.stage]
  topology.check(args.topology, args.slices)


def _plan(args) -> None:
  from sclc_jax.plan import report, topology
  from sclc_jax.plan.chips import chip_of
  from sclc_jax.plan.stage import largest_share, with_share
  from sclc_jax.train.step import device_share

  devices = topology.devices(args.topology, args.slices)
  chip = chip_of(devices[0])
  config = args.experiment
  if args.batch_per_chip:
    config = with_share(config, args.batch_per_chip, len(devices))
  device_share(config, len(devices))  # a ValueError before anything compiles
  plans, largest, pixels = [], [], args.data_megapixels * 10**6
  for stage in args.stages:
    plan = compile_stage(args, config, stage, devices, chip, pixels)
    plans.append(plan)
    if args.largest_batch:

      def attempt(share, stage=stage):
        changed = with_share(config, share, len(devices))
        return compile_stage(args, changed, stage, devices, chip, pixels)

      parts = config.train.accumulate
      largest.append(largest_share(plan, attempt, parts))
  if args.json:
    streams.tell(report.to_json(plans))
  else:
    streams.tell(report.table(plans, largest if args.largest_batch else None))
  for plan in plans:
    if args.ops and plan.operations is not None:
      streams.tell(f"\n{plan.stage.name}: what moves most bytes")
      streams.tell(report.largest_operations(plan, args.ops))
  if not args.quiet:
    note(args, report.summary(plans))


def compile_stage(args, config, stage, devices, chip, pixels: int):
  """Plans one stage, and says so before it takes its minutes.

  Arguments are those of `plan_stage`; `args` of the command.
  """
  import time

  from sclc_jax.plan.compiled import cache_folder
  from sclc_jax.plan.stage import plan_stage

  if not args.quiet:
    note(
      args,
      f"compiling stage {stage.name}, batch {config.data.batch_size}, for "
      f"{len(devices)} x {chip.kind}",
    )
  start = time.perf_counter()
  plan = plan_stage(config, stage, devices, chip, pixels, cache_folder())
  if not args.quiet:
    seconds = time.perf_counter() - start
    note(args, f"stage {stage.name} took {seconds:.0f} s")
  return plan
