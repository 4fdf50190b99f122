"""Image formats: what is read, what is written, and how."""

from __future__ import annotations

import os
from typing import Any

MAX_PIXELS = 250_000_000  # the default limit of what is opened
# Of the files that a folder gives. Others are read where they are named.
SUFFIXES = frozenset(
  (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif",
    ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".gif",
  )
)  # fmt: skip
# Pillow's name of what is written, by the suffix, and how it is written. Those
# of JPEG and AVIF lose a little, the others nothing.
_PNG: tuple[str, dict[str, Any]] = "PNG", {}
_JPEG = "JPEG", {"quality": 95, "subsampling": 0}
_TIFF = "TIFF", {"compression": "tiff_adobe_deflate"}
WRITERS = {
  "": _PNG,
  ".png": _PNG,
  ".jpg": _JPEG,
  ".jpeg": _JPEG,
  ".jpe": _JPEG,
  ".jfif": _JPEG,
  ".webp": ("WEBP", {"lossless": True, "exact": True}),
  ".avif": ("AVIF", {"quality": 90, "subsampling": "4:4:4"}),
  ".tif": _TIFF,
  ".tiff": _TIFF,
  ".bmp": ("BMP", {}),
  ".ppm": ("PPM", {}),
  ".pgm": ("PPM", {}),
  ".pnm": ("PPM", {}),
}
WRITTEN = frozenset(WRITERS) - {""}
_BARE = frozenset(("BMP", "PPM"))  # without metadata


def writer_suffix(path: str | os.PathLike) -> str:
  """The suffix of an image file to write; without one it becomes a PNG.

  Raises:
    ValueError: it names no format that is written.
  """
  suffix = os.path.splitext(path)[1].lower()
  if suffix not in WRITERS:
    raise ValueError(
      f"{os.fspath(path)} ends in {suffix}, which is not written; end it in "
      f"{', '.join(sorted(WRITTEN))}."
    )
  return suffix


def keeps_metadata(suffix: str) -> bool:
  """Whether the format has room for a colour profile and EXIF."""
  return WRITERS[suffix][0] not in _BARE
