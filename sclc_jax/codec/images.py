"""Where release 0.1.0 had the reader of pictures, for scripts of that time."""

from sclc_jax.files import write_whole
from sclc_jax.images import (
  SUFFIXES,
  Photo,
  find_images,
  load_image,
  load_photo,
  png_bytes,
)

__all__ = [
  "SUFFIXES",
  "Photo",
  "find_images",
  "load_image",
  "load_photo",
  "png_bytes",
  "write_whole",
]
