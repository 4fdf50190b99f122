"""`sclc export`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sclc_jax import files
from sclc_jax.buckets import Path, to_path
from sclc_jax.commands.checks import images_in, input_folder, output_file
from sclc_jax.commands.common import Add, hides_bars, report

if TYPE_CHECKING:
  import numpy as np

  from sclc_jax.codec.model.codec_model import CodecModel

# Of a large folder; tables of 80 gained 3.6 to 4.2 % on others.
_PHOTOS = 100


def register(add: Add) -> None:
  """Adds the command to the command line."""
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


def _check_export(args) -> None:
  output_file("-o", args.output)
  for flag in (
    "fit_selector", "fit_lowpass", "fit_synthesis", "fit_tables", "fit_preview"
  ):
    folder = getattr(args, flag)
    if folder is not None:
      input_folder(f"--{flag.replace('_', '-')}", folder)


def _export(args) -> None:
  from sclc_jax.codec.model.model_file import find_model, save_model
  from sclc_jax.codec.model.shipped import fast_path
  from sclc_jax.export.freeze import freeze
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
  model = _fitted(args, model)
  save_model(model, args.output, parent)
  print(f"model: {', '.join(model.parts)}; {model.rates}")
  size = files.size(args.output)
  print(f"{args.output}\t{size} bytes\tfingerprint {model.fingerprint.hex()}")
  if model.fast is not None:
    _save_fast(model, fast_path(args.output))


def _fitted(args, model: CodecModel) -> CodecModel:
  """The model with all that the flags add to it, in the order it needs."""
  from sclc_jax.export.freeze import with_mask_threshold

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

    photos = photos_to_fit(args, "--fit-synthesis", args.fit_synthesis, 300)
    model, gain = fit_synthesis(model, photos)
    print(f"conditional synthesis: {100 * gain:.1f} % less squared error")
  if args.fit_preview:
    from sclc_jax.export.preview_fit import fit_preview

    photos = photos_to_fit(args, "--fit-preview", args.fit_preview)
    model = fit_preview(model, photos)
  return model


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
  paths = images_in(flag, folder)
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
