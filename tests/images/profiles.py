"""ICC profiles for the tests, written here: no library of ours writes any."""

import struct

import numpy as np

D50 = np.array((0.9642, 1.0, 0.8249))
D65 = np.array((0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290))
_P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
_REC_709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# Name to (primaries, white, parameters of the curve).
SPACES = {
  "srgb": (_REC_709, D65, SRGB_CURVE),
  "display_p3": (_P3, D65, SRGB_CURVE),
  "adobe_rgb": ((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), D65, (563 / 256,)),
  "prophoto": (
    (0.734699, 0.265301, 0.159597, 0.840403, 0.036598, 0.000105), D50, (1.8,)
  ),
  "rec_2020": (
    (0.708, 0.292, 0.17, 0.797, 0.131, 0.046), D65,
    (1 / 0.45, 1 / 1.09929, 0.09929 / 1.09929, 1 / 4.5, 0.08124),
  ),
}  # fmt: skip


def primaries_matrix(primaries, white) -> np.ndarray:
  """[3, 3] from linear RGB to XYZ under a white."""
  xy = np.reshape(primaries, (3, 2))
  columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in xy]).T
  return columns * np.linalg.solve(columns, white)


def bradford(white, to) -> np.ndarray:
  """[3, 3] that adapts XYZ."""
  cone = np.array(
    ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367),
     (0.0389, -0.0685, 1.0296))
  )  # fmt: skip
  return np.linalg.solve(cone, np.diag(cone @ to / (cone @ white)) @ cone)


def linear(values: np.ndarray, curve) -> np.ndarray:
  """Light of values in [0, 1]."""
  if len(curve) == 1:
    return values ** curve[0]
  g, a, b, c, d = curve
  return np.where(values >= d, (a * values + b) ** g, c * values)


def seen_as(values: np.ndarray, name: str) -> np.ndarray:
  """sRGB in [0, 1] of colours in [0, 1] of a space, in float64."""
  primaries, white, curve = SPACES[name]
  matrix = np.linalg.inv(primaries_matrix(_REC_709, D65)) @ (
    bradford(white, D65) @ primaries_matrix(primaries, white)
  )
  light = np.clip(linear(values, curve) @ matrix.T, 0, 1)
  return np.where(
    light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055
  )


def _fixed(*values) -> bytes:
  return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _text(text: str) -> bytes:
  data = text.encode("utf-16-be")
  head = struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28)
  return b"mluc" + bytes(4) + head + data


def _profile(space: bytes, kind: bytes, pcs: bytes, tags: dict) -> bytes:
  tags = {b"desc": _text("test"), b"cprt": _text("none"), **tags}
  tags[b"wtpt"] = b"XYZ " + bytes(4) + _fixed(*D50)
  at = 132 + 12 * len(tags)
  table, body = struct.pack(">I", len(tags)), b""
  for name, data in tags.items():
    table += struct.pack(">4sII", name, at + len(body), len(data))
    body += data + bytes(-len(data) % 4)
  head = struct.pack(
    ">I4sI4s4s4s12x4s4s20xI12s4s44x", at + len(body), b"lcms", 0x04300000, kind,
    space, pcs, b"acsp", b"APPL", 1, _fixed(*D50), b"lcms",
  )  # fmt: skip
  return head + table + body


def curve_tag(curve) -> bytes:
  kind = 0 if len(curve) == 1 else 3
  return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(*curve)


def rgb_profile(name: str, curve: bytes | None = None) -> bytes:
  """Three curves and a matrix."""
  primaries, white, parameters = SPACES[name]
  matrix = bradford(white, D50) @ primaries_matrix(primaries, white)
  tags = {}
  for letter, column in zip((b"r", b"g", b"b"), matrix.T):
    tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + _fixed(*column)
    tags[letter + b"TRC"] = curve or curve_tag(parameters)
  return _profile(b"RGB ", b"mntr", b"XYZ ", tags)


def gray_profile(gamma: float) -> bytes:
  return _profile(b"GRAY", b"mntr", b"XYZ ", {b"kTRC": curve_tag((gamma,))})


def cmyk_profile() -> bytes:
  """Inks to Lab by a table of two points a side: L falls with the ink.

  White is L = 100; every ink takes a fourth of it.
  """
  corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1)
  lab = np.full((16, 3), 128)
  lab[:, 0] = np.round(255 * (1 - corners.reshape(-1, 4).sum(1) / 4))
  identity = bytes(range(256))
  table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
  table += _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + identity * 4
  table += lab.astype(np.uint8).tobytes() + identity * 3
  return _profile(
    b"CMYK", b"prtr", b"Lab ", {b"A2B0": table, b"A2B1": table, b"A2B2": table}
  )
