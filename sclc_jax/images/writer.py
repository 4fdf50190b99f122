"""Arrays to image files, with their metadata."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from sclc_jax.formats import WRITERS, keeps_metadata
from sclc_jax.images import png

_OPAQUE = frozenset(("JPEG", "BMP", "PPM"))
_EXIF = b"Exif\0\0"  # before what `metadata` holds
_XMP_TAG = 700


def png_bytes(
  image: np.ndarray, metadata: Mapping[str, bytes] | None = None
) -> bytes:
  """An image as a PNG file; arguments as of `encode_image`."""
  return encode_image(image, ".png", metadata)


def encode_image(
  image: np.ndarray,
  suffix: str,
  metadata: Mapping[str, bytes] | None = None,
) -> bytes:
  """An image as the bytes of a file.

  JPEG has quality 95 and full colour (4:4:4), AVIF quality 90 and full colour;
  PNG, WebP, TIFF, BMP and PPM hold the very pixels.

  Args:
    image: uint8 [H, W], [H, W, 2], [H, W, 3] or [H, W, 4].
    suffix: as of `writer_suffix`.
    metadata: `icc`, `exif` and `xmp` to write into it, where the format can.

  Raises:
    ValueError: the format cannot hold the image.
  """
  from PIL import Image, features

  kind, options = WRITERS[suffix]
  channels = 1 if image.ndim == 2 else image.shape[2]
  if channels in (2, 4) and kind in _OPAQUE:
    raise ValueError(
      f"the image has transparency, which {suffix} cannot hold; end -o in "
      ".png, .webp or .tif."
    )
  if suffix == ".pgm" and channels != 1:
    raise ValueError("the image has colours, .pgm is gray; end -o in .ppm.")
  if kind == "AVIF" and not features.check("avif"):
    raise ValueError("this Pillow writes no AVIF; end -o in .png or .webp.")
  picture = Image.fromarray(image)
  if suffix == ".ppm":
    picture = picture.convert("RGB")
  buffer = io.BytesIO()
  kept = metadata if metadata and keeps_metadata(suffix) else {}
  try:
    tags = _tags(kind, kept)
    picture.save(buffer, kind, **(options | tags))
  except Exception as error:  # whatever Pillow's writers meet
    raise ValueError(
      f"the image cannot be written as {suffix} ({error}); end -o in .png."
    ) from None
  return buffer.getvalue()


def _tags(kind: str, metadata: Mapping[str, bytes]) -> dict[str, Any]:
  """As Pillow takes it."""
  options: dict[str, Any] = {}
  if "icc" in metadata:
    options["icc_profile"] = metadata["icc"]
  exif, xmp = metadata.get("exif"), metadata.get("xmp")
  if kind == "TIFF":
    if exif or xmp:
      from PIL import Image

      tags = Image.Exif()
      tags.load(_EXIF + exif if exif else None)
      if xmp:
        tags[_XMP_TAG] = xmp
      # libtiff, which compresses, takes no directory within a directory.
      options |= {"exif": tags, "compression": "raw"}
    return options
  if exif:
    options["exif"] = _EXIF + exif
  if xmp and kind == "PNG":
    from PIL import PngImagePlugin

    options["pnginfo"] = PngImagePlugin.PngInfo()
    options["pnginfo"].add_itxt(png.XMP.decode(), xmp)
  elif xmp:
    options["xmp"] = xmp
  return options
