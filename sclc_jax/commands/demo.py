"""`sclc demo`."""

from __future__ import annotations

from sclc_jax.buckets import to_path
from sclc_jax.commands.checks import output_folder
from sclc_jax.commands.common import Add, model_flags
from sclc_jax.commands.streams import tell


def register(add: Add) -> None:
  """Adds the commands to the command line."""
  demo = add("demo", _demo, "compress a bundled photo at several qualities",
             lambda args: output_folder("--out", args.out))  # fmt: skip
  model_flags(demo)
  demo.add_argument("--out", default="sclc_demo", help="folder to write")


def _demo(args) -> None:
  import skimage.data

  from sclc_jax import metrics
  from sclc_jax.codec.codec import load_codec
  from sclc_jax.evaluation.plots import plot_masks
  from sclc_jax.files import write_whole
  from sclc_jax.images import png_bytes

  out = to_path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  image = skimage.data.chelsea()
  codec = load_codec(args.model, engine=args.engine)
  write_whole(out / "photo.png", png_bytes(image))
  raw = image.size
  tell("quality  bytes  bpp     psnr_db  ms_ssim  selected_fraction  file")
  panels = [("original", image, None)]
  analysis = codec.analyse(image)
  for quality in (1, 2.5, 4, 5.5, 8):
    file = out / f"photo_q{quality:g}.sclc"
    write_whole(file, codec.encode(analysis, quality))
    data = file.read_bytes()
    x_hat = codec.decompress(data)
    write_whole(file.with_suffix(".png"), png_bytes(x_hat))
    mask = codec.mask(analysis, quality)
    psnr = metrics.psnr_db(image, x_hat)
    tell(
      f"{quality:<7g}  {len(data):>5}  {8 * len(data) / (raw / 3):.4f}  "
      f"{psnr:7.2f}  {metrics.ms_ssim(image, x_hat):7.4f}  "
      f"{mask.mean():17.4f}  {file}"
    )
    title = f"quality {quality:g}: {len(data)} bytes, {psnr:.1f} dB"
    panels.append((title, x_hat, mask))
  plot_masks(panels, out / "masks.png")
  tell(f"pictures: {out / 'masks.png'}, {out}/photo_q*.png")
