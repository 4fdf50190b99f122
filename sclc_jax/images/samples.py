"""The samples of a picture that Pillow has opened, at their full depth."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np

from sclc_jax.images.kinds import RefusedError
from sclc_jax.images.png import Png


@dataclasses.dataclass(frozen=True)
class Samples:
  """A picture before its colours are converted.

  Attributes:
    values: uint8 or uint16; [H, W] if gray, else [H, W, 3], CMYK [H, W, 4].
    space: `gray`, `rgb`, `cmyk` or `lab`.
    alpha: [H, W] of the same type, or None.
    icc: the profile, where the reader of the samples found it.
  """

  values: np.ndarray
  space: str
  alpha: np.ndarray | None = None
  icc: bytes = b""


def unpremultiplied(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
  """Colours [H, W, C] that were stored times alpha [H, W]."""
  top = np.iinfo(values.dtype).max
  alpha = alpha[..., None].astype(np.uint64)
  out = values.astype(np.uint64) * top + alpha // 2
  out = np.minimum(out // np.maximum(alpha, 1), top)
  return np.where(alpha > 0, out, 0).astype(values.dtype)


def raw_mode(image) -> str:
  """How Pillow will unpack the samples, before it does; '' if unknown."""
  modes = set()
  for tile in image.tile:
    args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    modes.add(args[0] if args and isinstance(args[0], str) else "")
  return modes.pop() if len(modes) == 1 else ""


def is_deep_colour(image) -> bool:
  """Whether its samples are of 16 bits, of which Pillow keeps 8.

  Gray ones keep theirs. The mode RGB;16 of a BMP is 16 bits a *pixel*.
  """
  mode = raw_mode(image)
  return image.mode in ("RGB", "RGBA", "CMYK") and mode[-4:-1] == ";16"


def read_deep_colour(image, again, png: Png | None) -> Samples:
  """16-bit samples, from two readings of 8 bits each.

  Pillow takes the high bytes of such samples. Told that they lie in the other
  byte order, it takes the low ones.

  Args:
    image: of which `is_deep_colour` is true, not loaded yet.
    again: the same, opened once more.
    png: see `read`.
  """
  kind, _, order = raw_mode(image).partition(";16")
  if kind == "LA":  # Pillow has no gray with alpha of 16 bits: all four bytes
    _set_raw_mode(image, "RGBA")
    values = np.asarray(image).astype(np.uint16)
    return Samples(
      values[..., 0] * 256 + values[..., 1],
      "gray",
      values[..., 2] * 256 + values[..., 3],
    )
  plain = "RGBA" if kind == "RGBa" else kind
  big = order == "B" or (order == "N" and sys.byteorder == "big")
  _set_raw_mode(image, f"{plain};16{order}")
  _set_raw_mode(again, f"{plain};16{'L' if big else 'B'}")
  values = np.asarray(image).astype(np.uint16) * 256 + np.asarray(again)
  if image.mode == "CMYK":
    return Samples(values, "cmyk")
  if image.mode == "RGB":
    return _with_key(values, "rgb", png)
  colours, alpha = values[..., :3], values[..., 3]
  if kind == "RGBa":
    colours = unpremultiplied(colours, alpha)
  return Samples(colours, "rgb", alpha)


def _set_raw_mode(image, mode: str) -> None:
  image.tile = [
    type(tile)(
      *tile[:3], (mode, *tile[3][1:]) if isinstance(tile[3], tuple) else mode
    )
    for tile in image.tile
  ]


def read(image, png: Png | None) -> Samples:
  """Of all other pictures.

  Args:
    image: of Pillow.
    png: of a PNG, whose transparent colour Pillow knows in part only.

  Raises:
    RefusedError: samples of 32 bits.
  """
  if _is_taken_for_rgb(image):
    from PIL import Image

    _set_raw_mode(image, "RGB")
    image = Image.frombytes("YCbCr", image.size, image.tobytes())
  mode = image.mode
  if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
    values = np.asarray(image).astype(np.uint16)
    return _with_key(values, "gray", png)
  if mode in ("I", "F"):
    raise RefusedError(
      "its samples are of 32 bits; convert it to 8 or 16 bits first"
    )
  if mode == "LAB":
    return Samples(np.asarray(image), "lab")
  if mode == "CMYK":
    return Samples(np.asarray(image), "cmyk")
  if png is not None and mode in ("1", "L", "RGB"):
    values = np.asarray(image.convert("L") if mode == "1" else image)
    return _with_key(values, "rgb" if mode == "RGB" else "gray", png)
  if mode in ("LA", "La"):
    values = np.asarray(image.convert("LA"))
    return Samples(values[..., 0], "gray", values[..., 1])
  if mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
    values = np.asarray(image.convert("RGBA"))
    gray = mode in ("1", "L")
    colours = values[..., 0] if gray else values[..., :3]
    return Samples(colours, "gray" if gray else "rgb", values[..., 3])
  if mode in ("1", "L"):
    return Samples(np.asarray(image.convert("L")), "gray")
  image = image if mode == "RGB" else image.convert("RGB")
  return Samples(np.asarray(image), "rgb")


def _is_taken_for_rgb(image) -> bool:
  """Whether it is YCbCr of a plain TIFF, which Pillow 12 takes for RGB."""
  return (
    image.format == "TIFF"
    and image.tag_v2.get(262) == 6
    and image.mode == "RGB"
    and [tile[0] for tile in image.tile[:1]] == ["raw"]
  )


def _with_key(values: np.ndarray, space: str, png: Png | None) -> Samples:
  """With alpha where one colour of a PNG is the transparent one."""
  if png is None or png.transparent is None:
    return Samples(values, space)
  top = np.iinfo(values.dtype).max
  key = np.array(png.transparent) * top // (2**png.bits - 1)
  hit = values == key if values.ndim == 2 else (values == key).all(-1)
  return Samples(values, space, np.where(hit, 0, top).astype(values.dtype))
