"""Colours to sRGB: by an ICC profile, or by what a file says in numbers.

Profiles go through littleCMS, by the relative colorimetric intent with black
point compensation: what lies in sRGB is kept, the rest comes to its border, and
black stays black. littleCMS takes 8 bits here. For 16-bit colours, and for
gray, a profile of curves and a matrix is applied in NumPy, so that dark shades
do not fall together; the few others are rounded to 8 bits first.
"""

from __future__ import annotations

import dataclasses
import functools
import io

import numpy as np

from sclc_jax.images import spaces

_SPACES = {"GRAY": "gray", "RGB": "rgb", "CMYK": "cmyk"}
_MODES = {"gray": "L", "rgb": "RGB", "cmyk": "CMYK", "lab": "LAB"}


@dataclasses.dataclass(frozen=True)
class Numbers:
  """What a file says of its colours beside a profile.

  Attributes:
    cicp: code points of primaries and transfer function (ITU-T H.273).
    gamma: 1 / exponent; 0 if unknown.
    chromaticities: x and y of white, red, green and blue.
    after_profile: whether a profile comes before `cicp`, as it does in ISO
      media files; in a PNG it is the other way round.
  """

  cicp: tuple[int, int] | None = None
  gamma: float = 0.0
  chromaticities: tuple[float, ...] | None = None
  after_profile: bool = False


@functools.lru_cache(8)
def _transform(icc: bytes, space: str):
  """(a transform of littleCMS to sRGB, or None where it changes nothing)."""
  from PIL import ImageCms

  try:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    colours = profile.profile.xcolor_space.strip()
  except Exception:  # whatever littleCMS meets
    raise spaces.ProfileError(
      "its colour profile is damaged and is left out"
    ) from None
  if _SPACES.get(colours) != space:
    raise spaces.ProfileError(
      f"its colour profile is for {colours}, which it is not, and is left out"
    )
  transform = _lcms(profile, space, _MODES[space])
  if space != "cmyk":
    probe = spaces.probe(space)
    change = _applied(transform, probe).astype(int)
    if (
      np.abs(change - np.reshape(probe, (*probe.shape[:2], -1))).max()
      <= spaces.UNSEEN
    ):
      return None
  return transform


def _lcms(profile, space: str, mode: str):
  from PIL import ImageCms

  try:
    return ImageCms.buildTransform(
      profile,
      ImageCms.createProfile("sRGB"),
      mode,
      "RGB",
      renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
      flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
  except ImageCms.PyCMSError:
    raise spaces.ProfileError(
      "its colour profile cannot be applied and is left out"
    ) from None


def _applied(transform, values: np.ndarray) -> np.ndarray:
  """uint8 [H, W, 3] of a transform."""
  from PIL import Image

  mode = {2: "L"}.get(values.ndim) or (
    "RGB" if values.shape[2] == 3 else "CMYK"
  )
  image = Image.fromarray(np.ascontiguousarray(values), mode)
  return np.asarray(transform.apply(image))


def to_srgb(
  values: np.ndarray, space: str, icc: bytes, numbers: Numbers, notes: list[str]
) -> np.ndarray:
  """Pixels in sRGB; what cannot be converted stays, with a note.

  Args:
    values: uint8 or uint16, [H, W] if `space` is gray, else [H, W, 3 or 4].
    space: `gray`, `rgb`, `cmyk` or `lab`.
    icc: the profile; empty if there is none.
    numbers: what else the file says.
    notes: gets the note.

  Returns:
    uint8 or uint16; `values` themselves where they are sRGB already.
  """
  if space == "lab":
    return _lab_to_srgb(to_8_bits(values))
  try:
    if numbers.cicp and space != "cmyk" and not (icc and numbers.after_profile):
      shaper = spaces.shaper_of_cicp(*numbers.cicp)
      return values if shaper is None else shaper.apply(values)
  except spaces.ProfileError as error:
    notes.append(str(error))
  try:
    if icc:
      return _by_profile(values, space, icc)
  except spaces.ProfileError as error:
    notes.append(str(error))
  if space == "cmyk":
    return _cmyk_to_rgb(to_8_bits(values))
  if (numbers.gamma or numbers.chromaticities) and not icc:
    shaper = spaces.shaper_of_numbers(numbers.gamma, numbers.chromaticities)
    return values if shaper is None else shaper.apply(values)
  return values


def _by_profile(values: np.ndarray, space: str, icc: bytes) -> np.ndarray:
  """Pixels in sRGB.

  Args:
    values: uint8 or uint16, [H, W] if `space` is gray, else [H, W, 3 or 4].
    space: `gray`, `rgb` or `cmyk`, that of the pixels.
    icc: the profile.

  Returns:
    uint8 [H, W] or [H, W, 3]; `values` themselves where the profile is sRGB.

  Raises:
    spaces.ProfileError: the profile is damaged, or for other colours.
  """
  transform = _transform(icc, space)
  if transform is None:
    return values
  if space == "gray" or (space == "rgb" and values.dtype == np.uint16):
    shaper = spaces.shaper_of_profile(icc, space)
    if shaper is not None:
      return shaper.apply(values)
  values = _applied(transform, to_8_bits(values))
  return values[..., 1] if space == "gray" else values


def to_8_bits(values: np.ndarray) -> np.ndarray:
  """uint16 to the nearest of value / 257; uint8 as it is."""
  if values.dtype == np.uint8:
    return values
  return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _lab_to_srgb(values: np.ndarray) -> np.ndarray:
  """uint8 sRGB of uint8 CIELAB [H, W, 3] as Pillow holds it."""
  from PIL import Image, ImageCms

  image = Image.frombytes("LAB", values.shape[1::-1], values.tobytes())
  transform = _lcms(ImageCms.createProfile("LAB"), "lab", "LAB")
  return np.asarray(transform.apply(image))


def _cmyk_to_rgb(values: np.ndarray) -> np.ndarray:
  """uint8 RGB of uint8 CMYK without a profile: less ink, more light."""
  from PIL import Image

  return np.asarray(Image.fromarray(values, "CMYK").convert("RGB"))
