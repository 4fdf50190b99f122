"""Arrays to PNG files, with their metadata."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from sclc_jax.images import png


def png_bytes(
  image: np.ndarray, metadata: Mapping[str, bytes] | None = None
) -> bytes:
  """An image as a PNG file.

  Args:
    image: uint8 [H, W], [H, W, 2], [H, W, 3] or [H, W, 4].
    metadata: `icc`, `exif` and `xmp` to write into it.
  """
  from PIL import Image, PngImagePlugin

  buffer = io.BytesIO()
  metadata = metadata or {}
  options = {
    key: metadata[name]
    for name, key in (("icc", "icc_profile"), ("exif", "exif"))
    if name in metadata
  }
  if "xmp" in metadata:
    options["pnginfo"] = PngImagePlugin.PngInfo()
    options["pnginfo"].add_itxt(png.XMP.decode(), metadata["xmp"])
  Image.fromarray(image).save(buffer, "PNG", **options)
  return buffer.getvalue()
