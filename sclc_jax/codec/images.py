"""Image files to uint8 arrays and back: what is converted, what is refused."""

from __future__ import annotations

import io
import os
import pathlib
import tempfile

import numpy as np

SUFFIXES = frozenset(
  (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
)


def load_image(source: str | os.PathLike | bytes) -> np.ndarray:
  """Reads an image file, with its EXIF orientation applied.

  Args:
    source: a path, or the bytes of a file.

  Returns:
    uint8 [H, W, 3], or [H, W] for a gray image. Palette and CMYK become RGB.

  Raises:
    ValueError: not an image, damaged, empty, 16-bit, or with transparency.
  """
  from PIL import Image, ImageOps

  name = "the input" if isinstance(source, bytes) else str(source)
  data = source if isinstance(source, bytes) else _read(source)
  if not data:
    raise ValueError(f"{name} is empty; give a PNG, JPEG or WebP file.")
  try:
    image = Image.open(io.BytesIO(data))
    image.load()
  except Image.DecompressionBombError as error:
    raise ValueError(f"{name} is too large an image: {error}") from None
  except Exception as error:
    raise ValueError(
      f"{name} is not an image that can be read ({error}); "
      "give a whole PNG, JPEG or WebP file."
    ) from None
  image = ImageOps.exif_transpose(image)
  if image.mode.startswith("I") or image.mode == "F":
    raise ValueError(
      f"{name} has more than 8 bits a sample (mode {image.mode}); "
      "convert it to 8 bits first."
    )
  if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    if alpha.min() < 255:
      raise ValueError(
        f"{name} has transparent pixels, which are not stored; "
        "flatten it onto a background first."
      )
  if image.mode in ("1", "L", "LA"):
    return np.asarray(image.convert("L"))
  return np.asarray(image.convert("RGB"))


def png_bytes(image: np.ndarray) -> bytes:
  """uint8 [H, W, 3] or [H, W] as a PNG file."""
  from PIL import Image

  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, "PNG")
  return buffer.getvalue()


def _read(path) -> bytes:
  try:
    return pathlib.Path(path).read_bytes()
  except OSError as error:
    raise ValueError(f"cannot read {path}: {error.strerror}.") from None


def write_whole(path: str | os.PathLike, data: bytes) -> None:
  """Writes a file whole or not at all."""
  path = pathlib.Path(path)
  try:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".sclc-")
    try:
      with os.fdopen(handle, "wb") as file:
        file.write(data)
      mask = os.umask(0)
      os.umask(mask)
      os.chmod(name, 0o666 & ~mask)
      os.replace(name, path)
    except BaseException:
      os.unlink(name)
      raise
  except OSError as error:
    raise ValueError(f"cannot write {path}: {error.strerror}.") from None
