"""`sclc compress` and `sclc decompress`."""

from __future__ import annotations

import os
import pathlib
import sys
import threading

import numpy as np

from sclc_jax.commands.batch import Convert, convert_files, turn
from sclc_jax.commands.common import (
  Add,
  coding_flags,
  effort_flag,
  note,
  open_codec,
  walk,
)


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  for name, run, text in (
    ("compress", _compress, "images to .sclc files"),
    ("decompress", _decompress, ".sclc files to PNG images"),
  ):
    sub = add(name, run, text)
    coding_flags(sub)
    sub.add_argument(
      "inputs", nargs="+", help="files, folders, globs; - is stdin"
    )
    sub.add_argument("-o", "--output", help="file, folder, or - for stdout")
    sub.add_argument("--force", action="store_true", help="replace outputs")
    if name == "compress":
      effort_flag(sub)
      how = sub.add_mutually_exclusive_group()
      how.add_argument(
        "--quality", type=float, default=4.0, help="1 (smallest) to 8 (best)"
      )
      for flag, text in (
        ("--target-bpp", "bits per pixel, within 1 %%"),
        ("--target-bytes", "size of the file, within 1 %%"),
        ("--max-bytes", "the best quality that fits"),
        ("--target-psnr", "dB, mostly within 0.1 dB"),
      ):
        how.add_argument(flag, type=float, help=text)
      sub.add_argument(
        "--quality-map", metavar="IMAGE",
        help="gray picture, stretched over each input: white is coded at "
        "--quality, black at --quality-map-min, the rest between",
      )  # fmt: skip
      sub.add_argument(
        "--quality-map-min", type=float, default=1.0, help="quality of black"
      )
      sub.add_argument(
        "--keep-metadata", action="store_true",
        help="keep EXIF, XMP and the colour profile, and leave the pixels in "
        "the profile's space; else they are converted to sRGB",
      )  # fmt: skip


def _compress(args) -> None:
  from sclc_jax.codec.rate_control import KINDS, compress_to
  from sclc_jax.images import SUFFIXES, Photo, load_photo

  inputs = walk(args.inputs, SUFFIXES)
  alone = len(inputs) == 1 and not args.quiet and sys.stderr.isatty()
  codec = open_codec(args, progress=alone)
  codec.to_q(args.quality)
  wanted = {kind: getattr(args, _target_flag(kind)) for kind in KINDS}
  kind = next((key for key in KINDS if wanted[key] is not None), None)
  if codec.model.is_single_rate and kind is None and not args.quiet:
    note(args, f"this model has {codec.model.rates}: --quality changes nothing")
  quality = _quality(args, kind is not None)

  def convert(data: bytes, name: str) -> tuple[bytes, int]:
    photo = load_photo(data, args.max_pixels, args.keep_metadata, name)
    for text in photo.notes:
      note(args, f"{name}: {text}")
    pixels = photo.image.shape[0] * photo.image.shape[1]
    # A search holds some eight times as much of an image as a plain coding.
    with turn(pixels * (8 if codec.effort else 1)):
      return code(photo, name), pixels

  def code(photo: Photo, name: str) -> bytes:
    metadata = photo.metadata if args.keep_metadata else None
    if kind is None:
      return codec.compress(photo.image, quality, metadata)
    hit = compress_to(codec, photo.image, kind, wanted[kind], metadata)
    if not args.quiet:
      note(
        args,
        f"{name}: quality {hit.quality:g}, {kind} {hit.value:.6g}, "
        f"{hit.trials} trials",
      )
    return hit.data

  _convert(args, inputs, ".sclc", convert)


def _quality(args, has_target: bool) -> float | np.ndarray:
  """--quality, or an array of qualities in the shape of --quality-map."""
  from sclc_jax.images import load_photo

  if args.quality_map is None:
    return args.quality
  if has_target:
    raise ValueError(
      "--quality-map goes with --quality, not with a target; leave one out."
    )
  if not 1 <= args.quality_map_min <= args.quality:
    raise ValueError(
      "--quality-map-min must lie between 1 and --quality "
      f"{args.quality:g}, got {args.quality_map_min:g}."
    )
  # As stored: it holds qualities, not colours.
  image = load_photo(args.quality_map, args.max_pixels, keep_profile=True).image
  if image.ndim == 3:  # without alpha; colours count by their mean
    image = image[..., : 3 if image.shape[2] > 2 else 1].mean(-1)
  share = image.astype(np.float32) / 255
  return args.quality_map_min + share * (args.quality - args.quality_map_min)


def _decompress(args) -> None:
  from sclc_jax.codec.codec import Codec, load_codec
  from sclc_jax.codec.model.model_file import find_shipped
  from sclc_jax.codec.stream.bitstream import unpack_header
  from sclc_jax.images import png_bytes

  inputs = walk(args.inputs, {".sclc"})
  codecs: dict[bytes, Codec] = {}
  loading = threading.Lock()

  def find(fingerprint: bytes) -> Codec:
    if fingerprint in codecs:
      return codecs[fingerprint]
    options = {"engine": args.engine, "max_pixels": args.max_pixels}
    if args.model:
      codecs[fingerprint] = load_codec(args.model, **options)
      return codecs[fingerprint]
    found = find_shipped(fingerprint)
    if found is None:
      raise ValueError(
        f"the file was made with model {fingerprint.hex()}, which is not "
        "shipped (or the file is damaged); give its .sclcm with --model."
      )
    codecs[fingerprint] = Codec(found[1], **options)
    return codecs[fingerprint]

  def convert(data: bytes, name: str) -> tuple[bytes, int]:
    header = unpack_header(data)
    with loading:
      codec = find(header.fingerprint)
    pixels = header.height * header.width
    with turn(pixels):
      image, metadata = codec.decompress(data), codec.metadata(data)
      return png_bytes(image, metadata), pixels

  _convert(args, inputs, ".png", convert)


def _target_flag(kind: str) -> str:
  return kind if kind.startswith("max") else f"target_{kind}"


def _outputs(
  args, inputs: list[pathlib.Path], suffix: str
) -> tuple[list[pathlib.Path], bool]:
  """Output paths, and whether their names are derived.

  Derived names replace the last extension. What `-o` names is a file where one
  file goes in by its own name, and a folder where there may be several.
  """
  if not args.output:
    return [p.with_suffix(suffix) for p in inputs], True
  out = pathlib.Path(args.output)
  single = [*map(pathlib.Path, args.inputs)] == inputs and len(inputs) == 1
  if single and not out.is_dir() and not args.output.endswith(os.sep):
    return [out], False
  if out.exists() and not out.is_dir():
    raise ValueError(
      f"-o {out} is a file, where a folder is wanted for what is written; "
      "name another."
    )
  out.mkdir(parents=True, exist_ok=True)
  return [out / (p.stem + suffix) for p in inputs], True


def _convert(args, inputs, suffix: str, convert: Convert) -> None:
  """Runs `convert` on each input and writes what it gives."""
  from sclc_jax.files import write_whole

  if args.inputs == ["-"]:
    data, _ = convert(sys.stdin.buffer.read(), "stdin")
    if args.output in (None, "-"):
      sys.stdout.buffer.write(data)
    else:
      write_whole(args.output, data)
    return
  if args.output == "-":
    if len(inputs) != 1:
      raise ValueError("-o - takes a single input.")
    data, _ = convert(inputs[0].read_bytes(), str(inputs[0]))
    sys.stdout.buffer.write(data)
    return
  outputs, derived = _outputs(args, inputs, suffix)
  convert_files(args, inputs, outputs, convert, args.force or not derived)
