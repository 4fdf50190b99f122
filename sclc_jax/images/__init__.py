"""Image files to uint8 arrays and back: one reader for the whole package.

reader.py   the order of things: open, samples, colours, turn, metadata
kinds.py    kinds of files that are not read, with their remedies
png.py      chunks of a PNG
tiff.py     TIFFs that Pillow does not read rightly
samples.py  samples at their full depth, transparency
colour.py   profiles and code points to sRGB
exif.py     orientation, EXIF and XMP
hidden.py   colours under an alpha of 0
"""

from sclc_jax.images.hidden import fill_hidden
from sclc_jax.images.reader import (
  MAX_PIXELS,
  SUFFIXES,
  Photo,
  as_pixels,
  find_images,
  from_pillow,
  load_image,
  load_photo,
  load_rgb,
  load_size,
)
from sclc_jax.images.writer import png_bytes

__all__ = [
  "MAX_PIXELS",
  "SUFFIXES",
  "Photo",
  "as_pixels",
  "fill_hidden",
  "find_images",
  "from_pillow",
  "load_image",
  "load_photo",
  "load_rgb",
  "load_size",
  "png_bytes",
]
