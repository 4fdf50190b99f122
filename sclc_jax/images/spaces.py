"""Converts colour spaces of three curves and a matrix to sRGB, in NumPy.

A space is given by chromaticities and a gamma, by code points of ITU-T H.273,
or by an ICC profile.
"""

from __future__ import annotations

import dataclasses
import functools
import struct

import numpy as np

UNSEEN = 2  # differences of 255; a profile with no larger one is sRGB's
_BLOCK = 2**20  # values at a time
# Linear sRGB from XYZ of D50 (ICC.1) and of D65 (IEC 61966-2-1).
_D50 = np.array((0.9642, 1.0, 0.8249))
_D65 = (0.3127, 0.3290)
_SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
# ITU-T H.273, table 2: white, red, green and blue.
_CICP_PRIMARIES = {
  1: (*_D65, *_SRGB_PRIMARIES),
  4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
  5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
  6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
  7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
  9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
  11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
  12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
  22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
# Its table 3: exponents; 0 stands for sRGB's own curve, by which the video
# curves of photographs are meant too.
_CICP_GAMMA = {1: 0, 4: 2.2, 5: 2.8, 6: 0, 8: 1.0, 13: 0, 14: 0, 15: 0}


class ProfileError(ValueError):
  """A profile that does not fit its picture, or is damaged."""


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
  """IEC 61966-2-1, of [0, 1]."""
  low = values / 12.92
  return np.where(values <= 0.04045, low, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
  """Inverse of `srgb_to_linear`."""
  high = 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055
  return np.where(values <= 0.0031308, values * 12.92, high)


def _matrix_to_xyz(white, primaries) -> np.ndarray:
  """[3, 3] from linear RGB to XYZ, for the x and y of white and primaries."""
  xy = np.reshape(primaries, (3, 2))
  xyz = np.stack([xy[:, 0], xy[:, 1], 1 - xy.sum(1)]) / xy[:, 1]
  return xyz * np.linalg.solve(xyz, _white(white))


def _white(xy) -> np.ndarray:
  return np.array([xy[0] / xy[1], 1.0, (1 - xy[0] - xy[1]) / xy[1]])


def _adapted(white: np.ndarray, to: np.ndarray) -> np.ndarray:
  """[3, 3], Bradford's adaptation of XYZ from one white to another."""
  cone = np.array(
    ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367),
     (0.0389, -0.0685, 1.0296))
  )  # fmt: skip
  return np.linalg.inv(cone) @ np.diag(cone @ to / (cone @ white)) @ cone


def _srgb_from_d50() -> np.ndarray:
  srgb = _matrix_to_xyz(_D65, _SRGB_PRIMARIES)
  return np.linalg.inv(_adapted(_white(_D65), _D50) @ srgb)


@dataclasses.dataclass(frozen=True)
class Shaper:
  """A colour space of three curves and a matrix.

  Attributes:
    curves: float32 [3, 65536], linear light of each 16-bit value.
    matrix: float32 [3, 3], to linear sRGB.
  """

  curves: np.ndarray
  matrix: np.ndarray

  def apply(self, values: np.ndarray) -> np.ndarray:
    """uint8 sRGB of uint8 or uint16 [H, W, 3], or [H, W] gray."""
    table = _encoding()
    step = 65535 // np.iinfo(values.dtype).max
    curves = np.ascontiguousarray(self.curves[:, ::step])
    if values.ndim == 2:
      gray = table[np.round(curves[0] * 65535).astype(np.uint16)]
      return gray[values]
    flat = values.reshape(-1, 3)
    out = np.empty(flat.shape, np.uint8)
    for i in range(0, len(flat), _BLOCK):
      part = flat[i : i + _BLOCK]
      linear = np.stack([c[part[:, j]] for j, c in enumerate(curves)], 1)
      linear = np.clip(linear @ self.matrix.T, 0, 1)
      out[i : i + _BLOCK] = table[(linear * 65535 + 0.5).astype(np.uint16)]
    return out.reshape(values.shape)

  def is_srgb(self) -> bool:
    """Whether `apply` changes nothing that can be seen."""
    colours = probe("rgb")
    change = self.apply(colours).astype(int) - colours
    return int(np.abs(change).max()) <= UNSEEN


@functools.lru_cache(1)
def _encoding() -> np.ndarray:
  """uint8 [65536], sRGB of linear light."""
  linear = linear_to_srgb(np.arange(65536) / 65535)
  return np.round(255 * linear).astype(np.uint8)


def probe(space: str) -> np.ndarray:
  """uint8 colours that fill a space evenly, as a picture."""
  if space == "gray":
    return np.arange(256, dtype=np.uint8)[None]
  count = {"rgb": 3, "cmyk": 4}[space]
  axis = np.linspace(0, 255, 9).astype(np.uint8)
  return np.stack(np.meshgrid(*[axis] * count), -1).reshape(9, -1, count)


def shaper_of_numbers(
  gamma: float, chromaticities: tuple[float, ...] | None
) -> Shaper | None:
  """Of gAMA and cHRM of a PNG; None where they say sRGB, or nothing sensible.

  A gamma of 1 / 2.2 means sRGB's own curve, as the PNG standard lets readers
  take it.
  """
  exponent = 0.0
  if gamma and abs(gamma * 2.2 - 1) > 0.01:
    if not 0.1 <= gamma <= 10:
      return None
    exponent = 1 / gamma
  return _shaper(exponent, chromaticities or (*_D65, *_SRGB_PRIMARIES))


def shaper_of_cicp(primaries: int, transfer: int) -> Shaper | None:
  """Of code points of ITU-T H.273; None where they mean sRGB.

  Raises:
    ProfileError: they mean something else, such as high dynamic range.
  """
  primaries = 1 if primaries == 2 else primaries  # unspecified
  transfer = 13 if transfer == 2 else transfer
  if primaries not in _CICP_PRIMARIES or transfer not in _CICP_GAMMA:
    names = {16: "PQ", 18: "HLG"}
    raise ProfileError(
      f"its colours are coded as {names.get(transfer, 'CICP')} "
      f"({primaries}/{transfer}), which is not converted"
    )
  return _shaper(_CICP_GAMMA[transfer], _CICP_PRIMARIES[primaries])


def _shaper(exponent: float, chromaticities) -> Shaper | None:
  values = np.arange(65536) / 65535
  curve = values**exponent if exponent else srgb_to_linear(values)
  white = chromaticities[:2]
  try:
    to_xyz = _matrix_to_xyz(white, chromaticities[2:])
    matrix = np.linalg.inv(_matrix_to_xyz(_D65, _SRGB_PRIMARIES)) @ (
      _adapted(_white(white), _white(_D65)) @ to_xyz
    )
  except (np.linalg.LinAlgError, ZeroDivisionError):
    return None
  if not np.isfinite(matrix).all():
    return None
  curves = np.broadcast_to(curve, (3, 65536)).astype(np.float32)
  shaper = Shaper(curves, matrix.astype(np.float32))
  return None if shaper.is_srgb() else shaper


@functools.lru_cache(8)
def shaper_of_profile(icc: bytes, space: str) -> Shaper | None:
  """Of a profile that is one curve, or three and a matrix, else None."""
  try:
    tags = _tags(icc)
    if b"A2B0" in tags or b"A2B1" in tags or icc[20:24] != b"XYZ ":
      return None
    if space == "gray":
      curves, matrix = [_curve(tags[b"kTRC"])] * 3, np.eye(3)
    else:
      names = (b"r", b"g", b"b")
      columns = [np.frombuffer(tags[c + b"XYZ"], ">i4", 3, 8) for c in names]
      curves = [_curve(tags[c + b"TRC"]) for c in names]
      matrix = _srgb_from_d50() @ np.stack(columns, 1) / 65536
  except (KeyError, ValueError, struct.error):
    return None
  return Shaper(np.stack(curves).astype(np.float32), matrix.astype(np.float32))


def _tags(icc: bytes) -> dict[bytes, bytes]:
  """The tagged elements of a profile (ICC.1, 7.3)."""
  tags = {}
  (count,) = struct.unpack_from(">I", icc, 128)
  for i in range(min(count, 100)):
    name, at, size = struct.unpack_from(">4sII", icc, 132 + 12 * i)
    tags[name] = icc[at : at + size]
  return tags


def _curve(tag: bytes) -> np.ndarray:
  """[65536] of a curve: `curv` or `para` of ICC.1, 10.6 and 10.18."""
  x = np.arange(65536) / 65535
  if tag[:4] == b"curv":
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
      return x
    if count == 1:
      return x ** (struct.unpack_from(">H", tag, 12)[0] / 256)
    points = np.frombuffer(tag, ">u2", count, 12) / 65535
    return np.interp(x, np.linspace(0, 1, count), points)
  if tag[:4] != b"para":
    raise ValueError("unknown curve")
  (kind,) = struct.unpack_from(">H", tag, 8)
  numbers = (
    np.frombuffer(tag, ">i4", (1, 3, 4, 5, 7)[kind], 12) / 65536
  ).tolist()
  g, a, b, c, d, e, f = numbers + [1, 0, 0, 0, 0, 0][len(numbers) - 1 :]
  if kind in (1, 2):  # Y = (aX + b)^g + c from -b / a on, else c
    c, d, e, f = 0.0, -b / a, c, c
  elif kind == 0:
    d = 0.0
  high = np.maximum(a * x + b, 0) ** g + e
  return np.clip(np.where(x >= d, high, c * x + f), 0, 1)
