"""`sclc train`, `sclc export` and `sclc sweep`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sclc_jax import files
from sclc_jax.buckets import Path, to_path
from sclc_jax.commands import dry_run
from sclc_jax.commands.checks import (
  check_source,
  input_folder,
  output_file,
  output_folder,
  profiled_steps,
)
from sclc_jax.commands.common import (
  Add,
  check_device,
  hides_bars,
  joins_cluster,
  quality_flag,
  report,
)

if TYPE_CHECKING:
  import numpy as np

# Of a large folder; tables of 80 gained 3.6 to 4.2 % on others.
_PHOTOS = 100
_RECIPE = "name of a recipe (smoke, small_cpu, pod, ...), or a config file"
_SWEEP = "name of a sweep (paper_ablation, bases, ...), or a config file"
_EPILOG = "Any --config.KEY=VALUE replaces a value of the config."


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  _register_train(add)
  _register_export(add)
  _register_sweep(add)


def _register_train(add: Add) -> None:
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
  train.epilog = _EPILOG


def _register_export(add: Add) -> None:
  export = add("export", _export, "freeze a checkpoint into an .sclcm model",
               _check_export)  # fmt: skip
  source = export.add_mutually_exclusive_group(required=True)
  source.add_argument("--workdir", help="the --workdir of 'sclc train'")
  source.add_argument(
    "--model", help="or a model, to change it by the flags below"
  )
  which = export.add_mutually_exclusive_group()
  which.add_argument(
    "--step", type=int, help="checkpoint to export; the latest if unset"
  )
  which.add_argument(
    "--best", action="store_true",
    help="export the checkpoint with the lowest loss in validation",
  )  # fmt: skip
  export.add_argument("-o", "--output", required=True, help="FILE.sclcm")
  export.add_argument(
    "--mask-threshold", type=float, metavar="T",
    help="replaces model.mask_threshold: code elements whose probability of "
    "selection is above T in (0, 1); a lower T codes more of them",
  )  # fmt: skip
  export.add_argument(
    "--fit-selector", metavar="FOLDER",
    help="give the model a selector that leaves out elements predicted to "
    "round to zero; fitted to 100 photographs of this folder, which should not "
    "be those you measure on",
  )  # fmt: skip
  export.add_argument(
    "--improbable", type=float, metavar="P",
    help="with --fit-selector: leave out elements whose probability not to "
    "round to zero is below P in (0, 1); 1e-4 if unset, which makes files 0.1 "
    "%% larger; a larger P costs more",
  )  # fmt: skip
  export.add_argument(
    "--fit-lowpass", metavar="FOLDER",
    help="predict the channels of y that resemble their neighbours, where "
    "model.base is 'hyperprior'; fitted to 100 photographs of this folder",
  )  # fmt: skip
  export.add_argument(
    "--fit-synthesis", metavar="FOLDER",
    help="let the last layer of the synthesis follow the quality; fitted to "
    "300 photographs of this folder: some 1 %% less rate at equal PSNR",
  )  # fmt: skip
  export.add_argument(
    "--fit-tables", metavar="FOLDER",
    help="fit the coder's tables to 100 photographs of this folder: files some "
    "3 %% smaller where model.density is 'normal'",
  )  # fmt: skip
  export.add_argument(
    "--fit-preview", metavar="FOLDER",
    help="fit what 'sclc decompress --preview' needs to photographs, likewise; "
    "it goes into a small file beside the model, whose own files stay the same",
  )  # fmt: skip
  export.add_argument(
    "--fast-of", metavar="MODEL",
    help="write only the fast decoder, for the model that the run started "
    "from: MODEL.fast.sclcm, which belongs beside MODEL.sclcm",
  )  # fmt: skip
  export.add_argument(
    "--parent", metavar="NAME",
    help="write only what differs from this shipped model; that is little if "
    "the stages trained only the parts 'small'",
  )  # fmt: skip


def _register_sweep(add: Add) -> None:
  sweep = add("sweep", _sweep, "train and compare the points of a sweep",
              _check_sweep)  # fmt: skip
  sweep.add_argument("config", help=_SWEEP)
  sweep.add_argument(
    "--workdir", default="runs/sweep", help="gets one folder for each point"
  )
  sweep.add_argument(
    "--list", action="store_true", help="only list the points (configs)"
  )
  which = sweep.add_mutually_exclusive_group()
  which.add_argument(
    "--index", type=int, help="run only the point of this number, from 0"
  )
  which.add_argument(
    "--point", metavar="NAME", help="run only the point of this name"
  )
  sweep.add_argument("--images", help="folder to compare the points on")
  quality_flag(sweep)
  sweep.epilog = _EPILOG


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


def _check_export(args) -> None:
  output_file("-o", args.output)
  for flag in (
    "fit_selector", "fit_lowpass", "fit_synthesis", "fit_tables", "fit_preview"
  ):
    folder = getattr(args, flag)
    if folder is not None:
      input_folder(f"--{flag.replace('_', '-')}", folder)


def _check_sweep(args) -> None:
  from sclc_jax.runs import recipes

  recipes.find(args.config, recipes.SWEEPS)
  if not args.list:
    output_folder("--workdir", args.workdir)


def _export(args) -> None:
  from sclc_jax.codec.model.model_file import find_model, save_model
  from sclc_jax.codec.model.shipped import fast_path
  from sclc_jax.export.freeze import freeze, with_mask_threshold
  from sclc_jax.runs import provenance
  from sclc_jax.runs.experiment import load_checkpoint

  if args.fast_of:
    _export_fast(args)
    return
  if args.improbable is not None and not args.fit_selector:
    raise ValueError(
      f"--improbable {args.improbable:g} says what --fit-selector leaves out, "
      "which is not given; give it a folder of photographs."
    )
  parent = find_model(args.parent) if args.parent else None
  if args.model:
    if args.step is not None or args.best:
      raise ValueError("--step and --best choose of a --workdir, not --model.")
    model = find_model(args.model)
  else:
    trained = load_checkpoint(args.workdir, args.step, args.best)
    model = freeze(*trained, rescale=parent is None)
    runs = provenance.chain(args.workdir, args.step, args.best)
    if args.step is None and not args.best:
      provenance.check_rates(runs[-1], model)
    print(f"trained: {provenance.describe_stages(runs[-1])}")
    model = dataclasses.replace(model, provenance=tuple(runs))
  if args.fit_selector:
    from sclc_jax.export.selector_fit import IMPROBABLE, fit_selector

    photos = photos_to_fit(args, "--fit-selector", args.fit_selector)
    improbable = IMPROBABLE if args.improbable is None else args.improbable
    model = fit_selector(model, photos, improbable)
  if args.mask_threshold is not None:
    model = with_mask_threshold(model, args.mask_threshold)
  if args.fit_lowpass:
    from sclc_jax.export.lowpass_fit import fit_lowpass

    photos = photos_to_fit(args, "--fit-lowpass", args.fit_lowpass)
    model, bits = fit_lowpass(model, photos)
    print(f"low-pass prediction: {bits:.2f} bits less for each 16x16 pixels")
  if args.fit_tables:
    from sclc_jax.export.table_fit import fit_tables

    photos = photos_to_fit(args, "--fit-tables", args.fit_tables)
    model, saved = fit_tables(model, photos)
    print(f"fitted tables: {100 * saved:.1f} % less for y")
  if args.fit_synthesis:
    from sclc_jax.export.synthesis_fit import fit_synthesis

    photos = photos_to_fit(
      args, "--fit-synthesis", args.fit_synthesis, 300
    )
    model, gain = fit_synthesis(model, photos)
    print(f"conditional synthesis: {100 * gain:.1f} % less squared error")
  if args.fit_preview:
    from sclc_jax.export.preview_fit import fit_preview

    photos = photos_to_fit(args, "--fit-preview", args.fit_preview)
    model = fit_preview(model, photos)
  save_model(model, args.output, parent)
  print(f"model: {', '.join(model.parts)}; {model.rates}")
  size = files.size(args.output)
  print(f"{args.output}\t{size} bytes\tfingerprint {model.fingerprint.hex()}")
  if model.fast is not None:
    _save_fast(model, fast_path(args.output))


def _export_fast(args) -> None:
  from sclc_jax.codec.model.model_file import find_model
  from sclc_jax.export.freeze import with_fast_of
  from sclc_jax.runs.experiment import load_checkpoint

  if not args.workdir:
    raise ValueError("--fast-of takes the fast decoder of a --workdir.")
  _, params, _ = load_checkpoint(args.workdir, args.step, args.best)
  model = with_fast_of(find_model(args.fast_of), params)
  _save_fast(model, to_path(args.output))


def _save_fast(model, path: Path) -> None:
  from sclc_jax.codec.model.fast_file import save_fast

  save_fast(model, path)
  size = files.size(path)
  print(f"{path}\t{size} bytes\tfast decoder of {model.fingerprint.hex()}")


def photos_to_fit(
  args, flag: str, folder: str, count: int = _PHOTOS
) -> Iterator[np.ndarray]:
  """Photographs to fit a model to, spread over a folder.

  Those that cannot be read are reported and left out.

  Args:
    args: of the command.
    flag: that names the folder.
    folder: of photographs.
    count: how many, at most.

  Raises:
    ValueError: there are none, at once; or none can be read, at the end.
  """
  from sclc_jax.images import find_images

  paths = find_images(folder)
  if not paths:
    raise ValueError(
      f"{flag} {folder} has no image; give a folder of photographs."
    )
  paths = paths[:: max(1, len(paths) // count)][:count]
  return _readable(args, flag, folder, paths)


def _readable(args, flag: str, folder: str, paths) -> Iterator[np.ndarray]:
  import tqdm

  from sclc_jax.images import load_image

  count = 0
  for path in tqdm.tqdm(
    paths, desc=flag[2:], unit="photo", disable=hides_bars(args)
  ):
    try:
      image = load_image(path)
    except ValueError as error:
      report(args, error, str(path))
    else:
      count += 1
      yield image
  if not count:
    raise ValueError(
      f"{flag} {folder} has no image that can be read; give a folder of "
      "photographs."
    )


def _sweep(args) -> None:
  from sclc_jax.images import find_images
  from sclc_jax.runs import sweep

  points = sweep.load_sweep(args.config, args.overrides)
  if args.list:
    for index, name in enumerate(points):
      print(f"{index}\t{name}")
    return
  chosen = _chosen_points(args, list(points))
  if not (args.images and files.is_folder(args.images)):
    raise ValueError(
      f"--images {args.images} is not a folder; the points are compared on it."
    )
  paths = find_images(args.images)
  if not paths:
    raise ValueError(
      f"--images {args.images} has no image; give a folder of photographs."
    )
  wanted = sweep.measurements(points, args.quality, paths)
  workdir = to_path(args.workdir)
  for name in chosen:
    sweep.run_point(wanted[name], workdir / name, paths, args.quiet)
  print(sweep.summarise(wanted, workdir))


def _chosen_points(args, names: list[str]) -> list[str]:
  """The points to run: all, or that of --index or --point."""
  if args.point is not None:
    if args.point not in names:
      raise ValueError(
        f"--point {args.point} is none of {', '.join(names)}; --list shows "
        "the points."
      )
    return [args.point]
  if args.index is None:
    return names
  if not 0 <= args.index < len(names):
    raise ValueError(
      f"--index must lie in [0, {len(names) - 1}], got {args.index}; --list "
      "shows the points."
    )
  return [names[args.index]]
