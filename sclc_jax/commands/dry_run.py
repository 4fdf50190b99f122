"""`sclc train --dry-run`."""

from __future__ import annotations

from sclc_jax.commands import streams
from sclc_jax.commands.common import joins_cluster, note
from sclc_jax.commands.plan import compile_stage


def check(args) -> None:
  """Raises a ValueError where it cannot tell what the run would do."""
  if joins_cluster(args):
    raise ValueError(
      "--dry-run looks at the devices of this machine alone; leave out what "
      "joins a cluster, or plan for a slice with 'sclc plan --topology'."
    )


def run(args) -> None:
  """Tells what the run would do; reads the data, writes nothing."""
  import jax

  from sclc_jax.plan import dry_run, report
  from sclc_jax.plan.chips import chip_of
  from sclc_jax.train.data import open_images
  from sclc_jax.train.profile import check as check_profile
  from sclc_jax.train.stages import stages

  config = args.experiment
  step, remarks = dry_run.begins_at(config, args.workdir, args.step)
  last = stages(config)[-1].stop
  check_profile(args.steps, step, min(last, args.stop_at or last))
  images = open_images(config.data.source, config.data.crop_size, 0)
  for line in dry_run.describe(config, images, args.workdir, step):
    streams.tell(line)
  for remark in remarks:
    note(args, f"it will say: {remark}")
  devices = tuple(jax.devices())
  chip = chip_of(devices[0])
  pixels = 0
  if config.data.device_resident:  # as if all were of the first one's size
    height, width, _ = images[0].shape
    pixels = len(images) * height * width
  plans = [
    compile_stage(args, config, stage, devices, chip, pixels)
    for stage in stages(config)
    if step < stage.stop
  ]
  if plans:
    streams.tell(report.table(plans, None))
    streams.tell(f"memory and time: {report.summary(plans)}")
  streams.tell("nothing was started")
