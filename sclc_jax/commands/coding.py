"""`sclc compress` and `sclc decompress`."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from sclc_jax.commands.batch import Converted, convert_files, turn
from sclc_jax.commands.checks import check_package, input_file
from sclc_jax.commands.common import (
  Add,
  Failure,
  coding_flags,
  effort_flag,
  fast_flag,
  hides_bars,
  note,
  open_codec,
)
from sclc_jax.commands.jobs import Job, find_sources, make_jobs
from sclc_jax.files import is_special
from sclc_jax.formats import (
  SUFFIXES,
  WRITTEN,
  keeps_metadata,
  writer_suffix,
)

if TYPE_CHECKING:
  import numpy as np

_WRITTEN = frozenset((".sclc",))


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  compress = add("compress", _compress, "images to .sclc files",
                 _check_compress)  # fmt: skip
  _files(compress, "NAME.sclc beside each input; stdout for stdin")
  effort_flag(compress)
  rate = compress.add_mutually_exclusive_group()
  rate.add_argument(
    "--quality", type=float, default=4.0, help="1 (smallest) to 8 (best)"
  )
  for flag, kind, text in (
    ("--target-bpp", float, "bits per pixel to hit, within 1 %%"),
    ("--target-bytes", _size, "size of the file to hit, within 1 %%; 60k is "
     "60000"),
    ("--max-bytes", _size, "the best quality whose file is not larger"),
    ("--target-psnr", float, "PSNR in dB to hit, mostly within 0.1 dB"),
    ("--target-ssimulacra2", float, "SSIMULACRA2 to hit, at most 100, within "
     "0.25 (pip install ssimulacra2)"),
  ):
    rate.add_argument(flag, type=kind, help=text)
  compress.add_argument(
    "-v", "--verbose", action="store_true",
    help="tell the PSNR of each file as well, which takes a decoding",
  )  # fmt: skip
  compress.add_argument(
    "--quality-map", metavar="IMAGE",
    help="gray picture, stretched over each input: white parts get --quality, "
    "black parts --quality-map-min, gray parts something between",
  )  # fmt: skip
  compress.add_argument(
    "--quality-map-min",
    type=float,
    default=1.0,
    help="quality of the black parts of --quality-map",
  )
  compress.add_argument(
    "--keep-metadata", action="store_true",
    help="keep EXIF, XMP, the colour profile and the pixels in its colour "
    "space; without this flag pixels become sRGB",
  )  # fmt: skip
  decompress = add("decompress", _decompress, ".sclc files to images",
                   _check_decompress)  # fmt: skip
  _files(
    decompress,
    "NAME.png beside each input; for stdin a PNG on stdout. For a single file "
    "the suffix chooses the format: .png, .tif, .webp, .bmp, .ppm (all "
    "lossless), .jpg (quality 95, 4:4:4), .avif (quality 90, 4:4:4)",
  )
  fast_flag(decompress)
  part = decompress.add_mutually_exclusive_group()
  part.add_argument(
    "--region", type=_region, metavar="X,Y,W,H",
    help="this part of the picture alone: left column, top row, width and "
    "height in pixels",
  )  # fmt: skip
  part.add_argument(
    "--preview", type=int, choices=(8, 4, 2),
    help="a picture of 1/8, 1/4 or 1/2 of the sides, in a small part of the "
    "time",
  )  # fmt: skip


_UNITS = {"": 1, "k": 1e3, "m": 1e6, "ki": 2**10, "mi": 2**20}


def _size(text: str) -> float:
  """`60k`, `1.5M`, `64KiB` or `60000` to bytes."""
  words = re.fullmatch(r"([\d.]+) *([km]i?|)b?", text.lower())
  if words is None:
    raise ValueError
  return float(words[1]) * _UNITS[words[2]]


_size.__name__ = "size in bytes"


def _region(text: str) -> tuple[int, ...]:
  numbers = tuple(int(number) for number in text.split(","))
  if len(numbers) != 4:
    raise ValueError
  return numbers


_region.__name__ = "region X,Y,W,H"  # argparse calls it so in its errors


def _files(sub, unset: str) -> None:
  coding_flags(sub)
  sub.add_argument(
    "inputs", nargs="+", help="files, folders or patterns (*); - is stdin"
  )
  sub.add_argument(
    "-o", "--output", help="file, folder (gets the subfolders of the inputs), "
    f"or - for stdout; if unset {unset}",
  )  # fmt: skip
  sub.add_argument(
    "--force", action="store_true",
    help="replace files that exist (a file that -o names is always replaced)",
  )  # fmt: skip
  sub.add_argument(
    "--skip-existing", action="store_true",
    help="leave out inputs whose output exists: a long run goes on",
  )  # fmt: skip


def _plan(args, read, suffix: str, written) -> list[Job]:
  """The jobs; Failure where none is left."""
  sources = find_sources(args, args.inputs, read)
  jobs = make_jobs(args, sources, suffix, written)
  if not (jobs or args.skipped):
    raise Failure
  return jobs


def _nothing_left(args) -> bool:
  """Whether all outputs exist, which is told."""
  if not args.jobs and not args.quiet:
    note(args, f"{args.skipped} skipped, as their outputs exist")
  return not args.jobs


def _is_alone(args) -> bool:
  """Whether progress inside a picture is shown; of several, the files count."""
  return len(args.jobs) == 1 and not hides_bars(args)


def _check_compress(args) -> None:
  targets = (args.target_bpp, args.target_bytes, args.max_bytes,
             args.target_psnr, args.target_ssimulacra2)  # fmt: skip
  if args.target_ssimulacra2 is not None:
    check_package("--target-ssimulacra2", "ssimulacra2")
  if args.quality_map is not None:
    if any(target is not None for target in targets):
      raise ValueError(
        "--quality-map goes with --quality, not with a target; leave one out."
      )
    if not 1 <= args.quality_map_min <= args.quality:
      raise ValueError(
        "--quality-map-min must lie between 1 and --quality "
        f"{args.quality:g}, got {args.quality_map_min:g}."
      )
    input_file("--quality-map", args.quality_map)
  args.jobs = _plan(args, SUFFIXES, ".sclc", _WRITTEN)


def _compress(args) -> None:
  if _nothing_left(args):
    return
  from sclc_jax.codec.latents.quality import check_quality
  from sclc_jax.codec.rate_control import KINDS, compress_to, name_of
  from sclc_jax.evaluation.perceptual import ssimulacra2
  from sclc_jax.images import Photo, load_photo
  from sclc_jax.metrics import visible_psnr_db

  codec = open_codec(args, progress=_is_alone(args))
  check_quality(args.quality, codec.model.top_quality)
  wanted = {kind: getattr(args, name_of(kind)) for kind in KINDS}
  kind = next((key for key in KINDS if wanted[key] is not None), None)
  if codec.model.is_single_rate and kind is None and not args.quiet:
    note(args, f"this model has {codec.model.rates}: --quality changes nothing")
  quality = _quality(args)

  def convert(data: bytes, name: str) -> Converted:
    photo = load_photo(data, args.max_pixels, args.keep_metadata, name)
    for text in photo.notes:
      note(args, f"{name}: {text}")
    pixels = photo.image.shape[0] * photo.image.shape[1]
    # A search holds some eight times as much of an image as a plain coding.
    with turn(pixels * (8 if codec.effort else 1)):
      coded = code(photo, name)
      text = (
        f"{len(coded) / len(data):.1%} of the input, "
        f"{8 * len(coded) / pixels:.3f} bpp"
      )
      if args.verbose:
        psnr = visible_psnr_db(photo.image, codec.decompress(coded))
        text += f", {psnr:.2f} dB"
    return Converted(coded, pixels, text)

  def code(photo: Photo, name: str) -> bytes:
    metadata = photo.metadata if args.keep_metadata else None
    if kind is None:
      return codec.compress(photo.image, quality, metadata)
    hit = compress_to(
      codec, photo.image, kind, wanted[kind], metadata, ssimulacra2
    )
    if not args.quiet:
      note(
        args,
        f"{name}: quality {hit.quality:.2f}, {kind} {hit.value:.6g}, "
        f"{hit.trials} trials",
      )
    return hit.data

  convert_files(args, args.jobs, convert)


def _quality(args) -> float | np.ndarray:
  """--quality, or an array of qualities in the shape of --quality-map."""
  import numpy as np

  from sclc_jax.images import load_photo

  if args.quality_map is None:
    return args.quality
  # As stored: it holds qualities, not colours.
  image = load_photo(args.quality_map, args.max_pixels, keep_profile=True).image
  if image.ndim == 3:  # without alpha; colours count by their mean
    image = image[..., : 3 if image.shape[2] > 2 else 1].mean(-1)
  share = image.astype(np.float32) / 255
  return args.quality_map_min + share * (args.quality - args.quality_map_min)


def _check_decompress(args) -> None:
  args.suffix = ".png"
  args.jobs = _plan(args, {".sclc"}, ".png", WRITTEN)
  target = args.jobs[0].target if args.jobs else None
  if target is None or args.jobs[0].in_folder or args.output is None:
    return
  try:
    args.suffix = writer_suffix(target)
  except ValueError:
    if not is_special(target):
      raise


def _decompress(args) -> None:
  if _nothing_left(args):
    return
  from sclc_jax.codec.stream.bitstream import unpack_header
  from sclc_jax.images.writer import encode_image

  codecs = {}
  loading = threading.Lock()

  def open_for(fingerprint: bytes):
    # JAX loads for what is an .sclc file alone.
    from sclc_jax.codec.codec import Codec, load_codec
    from sclc_jax.codec.model.model_file import find_shipped

    if fingerprint in codecs:
      return codecs[fingerprint]
    options = {
      "engine": args.engine, "max_pixels": args.max_pixels, "fast": args.fast,
      "progress": _is_alone(args),
    }  # fmt: skip
    if args.model:
      codecs[fingerprint] = load_codec(args.model, **options)
      return codecs[fingerprint]
    shipped = find_shipped(fingerprint, args.fast)
    if shipped is None:
      raise ValueError(
        f"the file was made with model {fingerprint.hex()}, which is not "
        "shipped (or the file is damaged); give its .sclcm with --model, or "
        "put it into the folder that SCLC_MODELS names."
      )
    codecs[fingerprint] = Codec(shipped[1], **options)
    return codecs[fingerprint]

  def convert(data: bytes, name: str) -> Converted:
    header = unpack_header(data)
    with loading:
      codec = open_for(header.fingerprint)
    pixels = header.height * header.width
    with turn(pixels):
      if args.preview:
        image = codec.preview(data, args.preview)
      else:
        image = codec.decompress(data, args.region)
      metadata = codec.metadata(data)
      if metadata and not keeps_metadata(args.suffix):
        note(args, f"{name}: {args.suffix} has no room for its metadata")
      return Converted(encode_image(image, args.suffix, metadata), pixels)

  convert_files(args, args.jobs, convert)
