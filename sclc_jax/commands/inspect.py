"""`sclc inspect`."""

from __future__ import annotations

import pathlib

from sclc_jax.buckets import Path, to_path
from sclc_jax.commands.checks import input_file, output_folder
from sclc_jax.commands.common import (
  Add,
  coding_flags,
  hides_bars,
  open_codec,
  result,
)
from sclc_jax.files import same_file

_FIGURES = ("pictures.png", "importance.png", "masks.png", "bits.png",
            "crops.png", "rd.png")  # fmt: skip


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  inspect = add("inspect", _inspect, "pictures of where the bits of a photo go",
                _check)  # fmt: skip
  coding_flags(inspect)
  inspect.add_argument("image", help="the photo")
  inspect.add_argument(
    "--quality", type=float, default=4.0, help="1 (smallest) to 8 (best)"
  )
  inspect.add_argument("-o", "--output", help="folder; NAME_inspect if unset")


def _check(args) -> None:
  input_file("input", args.image)
  out = _folder(args)
  output_folder("-o", str(out))
  for figure in _FIGURES:
    if same_file(out / figure, [args.image]):
      raise ValueError(
        f"the picture {out / figure} would replace the input {args.image}; "
        "name another folder with -o."
      )


def _folder(args) -> Path:
  stem = pathlib.Path(args.image).stem
  return to_path(args.output or f"{stem}_inspect")


def _inspect(args) -> None:
  import tqdm

  from sclc_jax.codec.latents.quality import check_quality
  from sclc_jax.commands.streams import printable
  from sclc_jax.evaluation import explain, plots
  from sclc_jax.evaluation.peers import AVIF, JPEG, JPEG_XL
  from sclc_jax.images import load_image
  from sclc_jax.metrics import psnr_db

  title = printable(pathlib.Path(args.image).stem)
  image = load_image(args.image, args.max_pixels)
  out = _folder(args)
  codec = open_codec(args)
  check_quality(args.quality, codec.model.top_quality)
  out.mkdir(parents=True, exist_ok=True)
  analysis = codec.analyse(image)
  data = codec.encode(analysis, args.quality)
  x_hat = codec.decompress(data)
  cost = explain.cost(codec, data)

  def name(codec_name: str, size: int, picture) -> str:
    return f"{codec_name}: {size} bytes, {psnr_db(image, picture):.2f} dB"

  pictures = [
    ("original", image),
    (name(f"sclc, quality {args.quality:g}", len(data), x_hat), x_hat),
  ]
  others = []
  for peer in (JPEG, AVIF, JPEG_XL):
    if peer.installed():
      coded = explain.peer_at_size(peer, image, len(data))
      others.append((name(peer.name.partition(" (")[0], *coded), coded[1]))
  figures = {
    "pictures.png": lambda path: plots.plot_pictures(pictures, path),
    "importance.png": lambda path: plots.plot_importance(
      image, explain.importance(analysis), path
    ),
    "masks.png": lambda path: plots.plot_levels(
      image, title, explain.levels(codec, analysis), path
    ),
    "bits.png": lambda path: plots.plot_bits(
      image, cost.y, cost.z, cost.channels,
      f"{title}, quality {args.quality:g}: {len(data)} bytes", path,
    ),
    "crops.png": lambda path: plots.plot_crops(
      pictures + others, cost.y, path
    ),
    "rd.png": lambda path: plots.plot_rd(
      explain.photo_curves(codec, analysis, image),
      "RGB PSNR (dB)", path,
    ),
  }  # fmt: skip
  for figure in tqdm.tqdm(
    _FIGURES, desc="figures", leave=False, disable=hides_bars(args)
  ):
    figures[figure](out / figure)
    result(out / figure)
