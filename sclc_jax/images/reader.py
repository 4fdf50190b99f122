"""Image files to uint8 arrays and back: one reader for the whole package."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import struct
import threading
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from sclc_jax.buckets import Path, to_path
from sclc_jax.files import list_files, read_whole
from sclc_jax.formats import MAX_PIXELS, SUFFIXES
from sclc_jax.images import colour, exif, kinds, png, samples, tiff
from sclc_jax.images.hidden import fill_hidden

_pillow_limit = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Photo:
  """An image file, read.

  Attributes:
    image: uint8 [H, W, 3] or [H, W]; [H, W, 4] or [H, W, 2] where some pixels
      are transparent.
    metadata: `icc`, `exif` and `xmp`, those that the file has and that are
      true of `image`; a profile only where it was asked for.
    notes: what was converted or left out, for the user.
  """

  image: np.ndarray
  metadata: Mapping[str, bytes]
  notes: tuple[str, ...]


def find_images(folder: str | os.PathLike) -> list[Path]:
  """The image files below a folder, by their suffixes, in order."""
  return list_files(folder, SUFFIXES).files


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
    raise ValueError(
      f"{_name(source)} has transparent pixels, which do not count here; "
      "flatten it onto a background first."
    )
  return image


def load_rgb(
  source: str | os.PathLike | bytes,
  max_pixels: int = MAX_PIXELS,
  name: str | None = None,
  shorter_side: int = 0,
) -> np.ndarray:
  """Reads the colours that a model sees: what training takes.

  Gray becomes three equal channels. Alpha is dropped, after the colours under
  an alpha of 0 were filled as the encoder fills them.

  Args:
    source: as of `load_photo`.
    max_pixels: likewise.
    name: likewise.
    shorter_side: likewise.

  Returns:
    uint8 [H, W, 3].
  """
  photo = load_photo(source, max_pixels, name=name, shorter_side=shorter_side)
  image = fill_hidden(photo.image)
  if image.ndim == 3 and image.shape[2] >= 3:
    return image[..., :3]
  gray = image if image.ndim == 2 else image[..., 0]
  return np.stack([gray] * 3, -1)


def load_photo(
  source: str | os.PathLike | bytes,
  max_pixels: int = MAX_PIXELS,
  keep_profile: bool = False,
  name: str | None = None,
  shorter_side: int = 0,
) -> Photo:
  """Reads an image file as it is meant to be seen.

  The orientation is applied. Colours become sRGB by the embedded profile (or
  gAMA, cHRM and cICP of a PNG); palettes, CMYK and CIELAB become RGB; 16 bits
  a sample are rounded to 8; an animation gives its first frame.

  Args:
    source: a path, or the bytes of a file.
    max_pixels: larger images are refused before they are decoded.
    keep_profile: RGB and gray pixels stay in the space of their profile, which
      is then among the metadata.
    name: what to call it in errors; the path, if it has one.
    shorter_side: to which the caller will scale the picture down; a JPEG that
      is much larger is decoded at 1/2, 1/4 or 1/8 of its sides, with at least
      twice as many pixels a side. 0 for all pixels.

  Raises:
    ValueError: not an image, damaged, empty, too large, or of a kind that is
      not read; names the file and what helps.
  """
  name = name or _name(source)
  data = source if isinstance(source, bytes) else read_whole(source)
  with _named(name):
    _check_kind(data)
    return _load(data, max_pixels, keep_profile, shorter_side)


def from_pillow(image, icc: bytes) -> tuple[np.ndarray, bytes]:
  """A picture of Pillow, with the colours and the alpha that `load_photo` has.

  Args:
    image: a PIL.Image.Image.
    icc: the profile of its colours; empty if there is none.

  Returns:
    Pixels as of `Photo.image`, gray and RGB ones in the space of their
    profile, and that profile, empty where they are in sRGB.

  Raises:
    ValueError: samples of a kind that is not read.
  """
  with _named("the picture"):
    picture = samples.read(image, None)
    if icc and picture.space in ("gray", "rgb"):
      return _joined(picture.values, picture.alpha), icc
    return _in_srgb(picture, icc), b""


def as_pixels(
  source: np.ndarray | str | os.PathLike | bytes, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
  """The samples of whatever holds a picture.

  Args:
    source: an array, which is given back; a path or the bytes of a file, as
      of `load_photo`; or a PIL.Image.Image, turned upright and in sRGB.
    max_pixels: larger files are refused before they are decoded.
  """
  if isinstance(source, (str, os.PathLike, bytes)):
    return load_photo(source, max_pixels).image
  if not hasattr(source, "getexif"):
    return np.asarray(source)
  from PIL import ImageOps

  icc = source.info.get("icc_profile") or b""
  with _named("the picture"):
    picture = samples.read(ImageOps.exif_transpose(source), None)
    return _in_srgb(picture, icc)


def load_size(path: str | os.PathLike) -> tuple[int, int]:
  """Width and height, as stored; of the file only the header is read."""
  with _named(str(path)):
    with to_path(path).open("rb") as file:
      start = file.read(2**16)
      _check_kind(start)
      if start.startswith(png.START) and len(start) >= 24:
        return struct.unpack_from(">II", start, 16)
      image = _open(file, start[:4] in tiff.STARTS)
      return tiff.size(file) if image is None else image.size


def _check_kind(data: bytes) -> None:
  if not data:
    raise kinds.RefusedError("it is empty; give a PNG, JPEG or WebP file")
  reason = kinds.refusal(data)
  if reason:
    raise kinds.RefusedError(f"it is {reason}")


@contextlib.contextmanager
def _named(name: str):
  """Whatever goes wrong inside is a ValueError that names the file."""
  try:
    yield
  except kinds.RefusedError as error:
    raise ValueError(f"cannot read {name}: {error}.") from None
  except Exception as error:  # whatever Pillow's decoders meet
    raise ValueError(
      f"{name} is not an image that can be read ({_reason(error)}); "
      "give a whole PNG, JPEG or WebP file."
    ) from error


def _reason(error: Exception) -> str:
  """What an error of Pillow says, if that is meant for people."""
  from PIL import UnidentifiedImageError

  if isinstance(error, UnidentifiedImageError):
    return "its bytes are of no image format that is known"
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  text = " ".join(str(error).split())
  if not isinstance(error, (OSError, ValueError, SyntaxError)) or "<" in text:
    return "it is damaged"
  return text.rstrip(".") or "it is damaged"


def _load(
  data: bytes, max_pixels: int, keep_profile: bool, shorter_side: int
) -> Photo:
  chunks = png.read(data) if data.startswith(png.START) else None
  is_tiff, turn = data[:4] in tiff.STARTS, 1
  if is_tiff:  # Pillow would turn it, but not where another tag is damaged
    turn = exif.orientation(data)
    data = exif.upright(data)
  image = _open(chunks.pixels if chunks else data, is_tiff)
  notes = []
  if image is not None:
    _check_size(image.size, max_pixels)
    factor = min(image.size) // (2 * shorter_side) if shorter_side else 1
    if factor > 1:  # JPEGs alone do something about it
      image.draft(None, tuple(side // factor for side in image.size))
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
      notes.append(f"it holds {frames} pictures; the first is taken")
  if image is None or (is_tiff and not tiff.is_plain(image.tag_v2)):
    picture = tiff.read(data, lambda size: _check_size(size, max_pixels))
  else:
    picture = _samples(image, chunks, data)
  block, xmp = exif.blocks(image, chunks, notes)
  if not is_tiff:
    turn = exif.orientation(block, xmp)
  pixels, icc = _colours(picture, image, chunks, data, keep_profile, notes)
  pixels = np.ascontiguousarray(exif.turn(pixels, turn))
  height, width = pixels.shape[:2]
  if block and not exif.is_whole(block):
    notes.append("its EXIF is damaged and is left out")
    block = b""
  elif block:
    block = exif.turned(block, turn, width, height)
  metadata = {
    "icc": icc,
    "exif": block,
    "xmp": exif.turned_xmp(xmp, turn, width, height),
  }
  metadata = {key: value for key, value in metadata.items() if value}
  return Photo(pixels, metadata, tuple(notes))


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
  if size[0] * size[1] > max_pixels:
    raise kinds.RefusedError(
      f"it has {size[0]}x{size[1]} pixels, more than the limit of "
      f"{max_pixels}; raise --max-pixels if you trust it"
    )


@contextlib.contextmanager
def _limit_lifted():
  """Without Pillow's own limit of pixels; `load_photo` has one."""
  from PIL import Image

  with _pillow_limit:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
      yield
    finally:
      Image.MAX_IMAGE_PIXELS = limit


def _open(file: bytes | BinaryIO, is_tiff: bool = False):
  """Opens with Pillow; None for a TIFF that it does not know."""
  from PIL import Image, UnidentifiedImageError

  file = io.BytesIO(file) if isinstance(file, bytes) else file
  try:
    with _limit_lifted():
      return Image.open(file)
  except UnidentifiedImageError:
    if is_tiff:
      return None
    raise


def _samples(image, chunks: png.Png | None, data: bytes) -> samples.Samples:
  from PIL import Image

  again = None
  if samples.is_deep_colour(image):
    again = _open(chunks.pixels if chunks else data)
  # Some of Pillow's decoders ask for its limit once more.
  large = image.width * image.height > (Image.MAX_IMAGE_PIXELS or 2**63)
  with _limit_lifted() if large else contextlib.nullcontext():
    if again is not None:
      return samples.read_deep_colour(image, again, chunks)
    return samples.read(image, chunks)


def _colours(
  picture: samples.Samples,
  image,
  chunks: png.Png | None,
  data: bytes,
  keep_profile: bool,
  notes: list[str],
) -> tuple[np.ndarray, bytes]:
  """(uint8 pixels in sRGB, or in the profile that is kept; that profile)."""
  icc = picture.icc
  if chunks is not None:
    icc = chunks.icc
    if chunks.icc_damaged:
      notes.append("its colour profile is damaged and is left out")
  elif image is not None:
    icc = image.info.get("icc_profile") or b""
  if picture.values.dtype == np.uint16:
    notes.append("its 16 bits a sample are rounded to 8")
  values, kept = picture.values, b""
  if keep_profile and icc and picture.space in ("gray", "rgb"):
    kept = icc
  else:
    numbers = _numbers(image, chunks, data)
    values = colour.to_srgb(values, picture.space, icc, numbers, notes)
  return _joined(values, picture.alpha), kept


def _joined(values: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
  """uint8 [H, W, ...] of 8 or 16 bits, with alpha where it is not opaque."""
  values = colour.to_8_bits(values)
  if alpha is None or colour.to_8_bits(alpha).min() == 255:
    return values
  return np.dstack([values, colour.to_8_bits(alpha)])


def _numbers(image, chunks: png.Png | None, data: bytes) -> colour.Numbers:
  """What the file says of its colours beside a profile."""
  if chunks is not None:
    srgb = chunks.srgb
    return colour.Numbers(
      chunks.cicp and chunks.cicp[:2],
      0.0 if srgb else chunks.gamma,
      None if srgb else chunks.chromaticities,
    )
  if image is not None and image.format in ("AVIF", "HEIF"):
    at = data.find(b"colrnclx", 0, 2**16)
    if at >= 0:
      pair = struct.unpack_from(">HH", data[: at + 12].ljust(at + 12), at + 8)
      return colour.Numbers(pair, after_profile=True)
  return colour.Numbers()


def _in_srgb(picture: samples.Samples, icc: bytes) -> np.ndarray:
  numbers = colour.Numbers()
  values = colour.to_srgb(picture.values, picture.space, icc, numbers, [])
  return _joined(values, picture.alpha)


def _name(source) -> str:
  return "the input" if isinstance(source, bytes) else str(source)
