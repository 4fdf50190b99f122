"""`sclc train`."""

from __future__ import annotations

from sclc_jax.commands import dry_run
from sclc_jax.commands.checks import (
  check_source,
  input_folder,
  output_folder,
  profiled_steps,
)
from sclc_jax.commands.common import Add, check_device, joins_cluster

_RECIPE = "name of a recipe (smoke, small_cpu, pod, ...), or a config file"
OVERRIDES = "Any --config.KEY=VALUE replaces a value of the config."


def register(add: Add) -> None:
  """Adds the command to the command line."""
  train = add("train", _train, "train, or resume, an experiment",
              _check_train)  # fmt: skip
  train.add_argument("--config", required=True, help=_RECIPE)
  train.add_argument(
    "--workdir", required=True,
    help="folder for checkpoints and logs; a run in it is resumed",
  )  # fmt: skip
  train.add_argument("--stop-at", type=int, help="save and end at this step")
  train.add_argument(
    "--step", type=int,
    help="resume from the checkpoint of this step, and set aside later ones; "
    "the latest if unset",
  )  # fmt: skip
  train.add_argument(
    "--dry-run", action="store_true",
    help="tell what the run would do, what memory it needs and how long it "
    "takes at least; start and write nothing",
  )  # fmt: skip
  train.add_argument(
    "--profile", metavar="START:STOP",
    help="trace these steps for TensorBoard's profile plugin; 10 are enough",
  )  # fmt: skip
  train.add_argument(
    "--distributed", action="store_true",
    help="join the cluster that JAX finds (TPU pod, Slurm)",
  )  # fmt: skip
  train.add_argument(
    "--coordinator",
    help="HOST:PORT of process 0, to join several processes without a cluster",
  )
  train.add_argument(
    "--processes", type=int, help="how many there are, with --coordinator"
  )
  train.add_argument(
    "--process", type=int,
    help="number of this one, from 0, with --coordinator",
  )  # fmt: skip
  train.epilog = OVERRIDES


def _check_train(args) -> None:
  from sclc_jax.runs import experiment

  if not joins_cluster(args) and (args.processes, args.process) != (None, None):
    raise ValueError(
      "--processes and --process alone join no cluster; give --coordinator "
      "HOST:PORT of process 0 with them."
    )
  if args.dry_run:
    dry_run.check(args)
  args.steps = None if args.profile is None else profiled_steps(args.profile)
  output_folder("--workdir", args.workdir)
  args.experiment = experiment.load_config(args.config, args.overrides)
  data = args.experiment.data
  for key, value in (
    ("data.source", data.source),
    ("data.validation", data.validation),
    ("init_from", args.experiment.init_from),
  ):
    if not value:
      continue
    check_source(key, value)
    kind, _, path = value.partition(":")
    if kind == "folder" and path:
      input_folder(f"{key}:", path)


def _train(args) -> None:
  from sclc_jax.runs import experiment
  from sclc_jax.train import parallel
  from sclc_jax.train.stages import ending

  if args.dry_run:
    dry_run.run(args)
    return
  if joins_cluster(args):
    parallel.initialize(args.coordinator, args.processes, args.process)
    if args.device:
      check_device(args.device)
  step = experiment.run(
    args.experiment, args.workdir, stop_at=args.stop_at, from_step=args.step,
    profile=args.steps, quiet=args.quiet,
  )  # fmt: skip
  text = ending(args.experiment, step, args.stop_at, args.step)
  print(f"{text}, {args.workdir}")
