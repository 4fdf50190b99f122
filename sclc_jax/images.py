"""Image files to uint8 arrays and back: what is converted, what is refused."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import sys
import threading
from collections.abc import Mapping

import numpy as np

MAX_PIXELS = 250_000_000  # the default limit of what is opened
SUFFIXES = frozenset(
  (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
)
_TIFF_LAYOUT = frozenset(
  (254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322,
   323, 324, 325, 338, 339, 34675)
)  # fmt: skip
_pillow_limit = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Photo:
  """An image file, read.

  Attributes:
    image: uint8 [H, W, 3] or [H, W]; [H, W, 4] or [H, W, 2] where some pixels
      are transparent.
    metadata: `icc` and `exif`, those that the file has and that are true of
      `image`.
    notes: what was converted or left out, for the user.
  """

  image: np.ndarray
  metadata: Mapping[str, bytes]
  notes: tuple[str, ...]


def find_images(folder: str | os.PathLike) -> list[pathlib.Path]:
  """The image files below a folder, by their suffixes, in order."""
  files = pathlib.Path(folder).rglob("*")
  return sorted(p for p in files if p.suffix.lower() in SUFFIXES)


def load_image(
  source: str | os.PathLike | bytes, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
  """Reads an opaque image file; arguments as of `load_photo`.

  Returns:
    uint8 [H, W, 3], or [H, W] for a gray image.

  Raises:
    ValueError: as `load_photo`, or with transparency.
  """
  image = load_photo(source, max_pixels).image
  if image.ndim == 3 and image.shape[2] != 3:
    name = "the input" if isinstance(source, bytes) else str(source)
    raise ValueError(
      f"{name} has transparent pixels, which do not count here; "
      "flatten it onto a background first."
    )
  return image


def load_photo(
  source: str | os.PathLike | bytes, max_pixels: int = MAX_PIXELS
) -> Photo:
  """Reads an image file, with its EXIF orientation applied.

  Palette and CMYK become RGB, 16 bits a sample are rounded to 8, and an
  animation gives its first frame.

  Args:
    source: a path, or the bytes of a file.
    max_pixels: larger images are refused before they are decoded.

  Raises:
    ValueError: not an image, damaged, empty, too large, or of 32-bit samples.
  """
  name = "the input" if isinstance(source, bytes) else str(source)
  data = source if isinstance(source, bytes) else _read(source)
  if not data:
    raise ValueError(f"{name} is empty; give a PNG, JPEG or WebP file.")
  try:
    image = _open(data)
    width, height = image.size
    if width * height > max_pixels:
      raise ValueError(
        f"{name} has {width}x{height} pixels, more than the limit of "
        f"{max_pixels}; raise --max-pixels if you trust it."
      )
    low, gray = _open_low_bytes(data)
    frames = getattr(image, "n_frames", 1)
    image.load()
    if low is not None:
      low.load()
  except ValueError as error:
    if "--max-pixels" in str(error):
      raise
    raise _unreadable(name, error) from None
  except Exception as error:
    raise _unreadable(name, error) from None
  notes = []
  if frames > 1:
    notes.append(f"it holds {frames} pictures; the first is taken")
  icc = image.info.get("icc_profile", b"")
  if image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX"):
    if icc and not image.mode.startswith("I"):
      notes.append(f"its colour profile is for {image.mode} and is left out")
      icc = b""
  # Pillow gives 16-bit gray as I in these formats.
  short = image.mode.startswith("I;") or image.format in ("PNG", "PPM")
  if image.mode == "F" or (image.mode == "I" and not short):
    raise ValueError(
      f"{name} has samples of 32 bits; convert it to 8 or 16 bits first."
    )
  image, exif, readable = _upright(image)
  if not readable:
    notes.append("its EXIF is damaged and is left out")
  deep = low is not None or image.mode.startswith("I")
  if deep:
    notes.append("its 16 bits a sample are rounded to 8")
    low = None if low is None else _upright(low)[0]
    pixels = _round_to_8_bits(image, low, gray)
  else:
    pixels = _to_8_bits(image)
  metadata = {"icc": icc, "exif": exif.removeprefix(b"Exif\0\0")}
  return Photo(
    _drop_opaque(pixels), {k: v for k, v in metadata.items() if v}, tuple(notes)
  )


def _upright(image):
  """(the image as its EXIF turns it, what its EXIF still says, readable)."""
  from PIL import ExifTags, ImageOps

  try:
    exif = image.getexif()
    image = ImageOps.exif_transpose(image)
    # A TIFF's EXIF lies among the tags that say how its pixels are stored.
    for tag in (ExifTags.Base.Orientation, *_TIFF_LAYOUT):
      exif.pop(tag, None)
    return image, exif.tobytes() if len(exif) else b"", True
  except Exception:  # whatever Pillow's parsers meet
    return image, b"", False


def _unreadable(name: str, error: Exception) -> ValueError:
  return ValueError(
    f"{name} is not an image that can be read ({error}); "
    "give a whole PNG, JPEG or WebP file."
  )


def _open(data: bytes):
  """Opens without Pillow's own limit; `load_photo` has one."""
  from PIL import Image

  with _pillow_limit:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
      return Image.open(io.BytesIO(data))
    finally:
      Image.MAX_IMAGE_PIXELS = limit


def _open_low_bytes(data: bytes):
  """The low bytes of an image of 16-bit colour samples.

  Pillow reads such samples as their high bytes. Told that they lie in the other
  byte order, it reads the low ones.

  Returns:
    An image that is not loaded yet, None where the samples are not of that
    kind; and whether it is gray with alpha, which Pillow reads as RGBA: there
    all four bytes of a pixel.
  """
  image = _open(data)
  if image.mode not in ("RGB", "RGBA"):
    return None, False
  tiles, gray = [], False
  for tile in image.tile:
    args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    mode = str(args[0]) if args else ""
    if ";16" not in mode:
      return None, False
    gray = mode.startswith("LA")
    big = mode[-1] == "B" or (mode[-1] == "N" and sys.byteorder == "big")
    mode = "RGBA" if gray else mode[:-1] + ("L" if big else "B")
    args = (mode, *args[1:]) if isinstance(tile[3], tuple) else mode
    tiles.append(type(tile)(*tile[:3], args))
  image.tile = tiles
  return image, gray


def _round_to_8_bits(image, low, gray: bool) -> np.ndarray:
  """uint8 of the nearest value / 65535, from high and low bytes or 16 bits."""
  if low is None:
    values = np.asarray(image)
  elif gray:  # bytes: high and low of gray, high and low of alpha
    values = np.asarray(low).astype(np.uint16)
    values = values[..., ::2] * 256 + values[..., 1::2]
  else:
    values = np.asarray(image).astype(np.uint16) * 256 + np.asarray(low)
  return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _to_8_bits(image) -> np.ndarray:
  if image.mode in ("LA", "La"):
    return np.asarray(image.convert("LA"))
  if image.mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
    pixels = np.asarray(image.convert("RGBA"))
    return pixels[..., [0, 3]] if image.mode in ("1", "L") else pixels
  return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _drop_opaque(pixels: np.ndarray) -> np.ndarray:
  """Without an alpha that is opaque everywhere."""
  if pixels.ndim == 2 or pixels.shape[2] == 3 or pixels[..., -1].min() < 255:
    return pixels
  return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]


def png_bytes(
  image: np.ndarray, metadata: Mapping[str, bytes] | None = None
) -> bytes:
  """An image as a PNG file.

  Args:
    image: uint8 [H, W], [H, W, 2], [H, W, 3] or [H, W, 4].
    metadata: `icc` and `exif` to write into it.
  """
  from PIL import Image

  buffer = io.BytesIO()
  options = {
    key: metadata[name]
    for name, key in (("icc", "icc_profile"), ("exif", "exif"))
    if metadata and name in metadata
  }
  Image.fromarray(image).save(buffer, "PNG", **options)
  return buffer.getvalue()


def _read(path) -> bytes:
  try:
    return pathlib.Path(path).read_bytes()
  except OSError as error:
    raise ValueError(f"cannot read {path}: {error.strerror}.") from None
