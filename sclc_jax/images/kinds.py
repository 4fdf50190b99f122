"""Kinds of files that are known but not read, each with its remedy."""

from __future__ import annotations

import importlib
import struct

_CONVERT = "convert it to PNG or JPEG first"
_RAW = "a camera's raw file; develop it and save it as PNG or TIFF"
_VIDEO = "a video; take a frame out of it as PNG or JPEG first"
_HDR = f"a picture of floating-point samples; {_CONVERT}"
_VECTOR = "a drawing, not a photograph; render it to PNG first"
_STARTS = {
  b"SCL": "an .sclc file already; 'sclc decompress' turns it into a PNG",
  b"%PDF": "a PDF document; save its pages as PNG first",
  b"%!PS": _VECTOR,
  b"\xc5\xd0\xd3\xc6": _VECTOR,  # EPS with a preview
  b"\xd7\xcd\xc6\x9a": _VECTOR,  # WMF
  b"\x1aE\xdf\xa3": _VIDEO,  # Matroska, WebM
  b"OggS": _VIDEO,
  b"FLV\1": _VIDEO,
  b"\0\0\1\xba": _VIDEO,  # MPEG
  b"\0\0\1\xb3": _VIDEO,
  b"0&\xb2u\x8ef\xcf\x11": _VIDEO,  # WMV
  b"v/1\1": _HDR,  # OpenEXR
  b"#?RADIANCE": _HDR,
  b"#?RGBE": _HDR,
  b"PF\n": _HDR,
  b"Pf\n": _HDR,
  b"II\xbc\1": f"a JPEG XR image; {_CONVERT}",
  b"BPG\xfb": f"a BPG image; {_CONVERT}",
  b"gimp xcf": "a GIMP project; export it as PNG first",
  b"PK\3\4": "an archive; unpack it first",
  b"\x1f\x8b": "compressed by gzip; unpack it first",
  b"FUJIFILMCCD-RAW": _RAW,
  b"IIRO": _RAW,  # Olympus
  b"IIRS": _RAW,
  b"MMOR": _RAW,
  b"IIU\0": _RAW,  # Panasonic
  b"FOVb": _RAW,  # Sigma
  b"\0MRM": _RAW,  # Minolta
}
# Brands of ISO media files (bytes 8 to 12).
_HEIF = frozenset(
  (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
   b"mif2")
)  # fmt: skip
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
# First directory of a TIFF: its picture is only a small copy of another.
_NEW_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706
_RAW_PHOTOMETRIC = (32803, 34892)


class RefusedError(ValueError):
  """A file that is not read; the text ends in the remedy, without a dot."""


def refusal(data: bytes) -> str | None:
  """Why a file is not opened, and what helps; None where it may be opened.

  Loads the plugin of Pillow that a kind needs, where that is installed.
  """
  for start, text in _STARTS.items():
    if data.startswith(start):
      return text
  brand = data[8:12] if data[4:8] == b"ftyp" else b""
  if brand in _HEIF and not _is_avif(data):
    return None if _heif() else (
      "a HEIC photograph; 'pip install pillow-heif' and try again, or convert "
      "it to JPEG or PNG"
    )  # fmt: skip
  if data.startswith(_JXL):
    return None if _loads("pillow_jxl") else (
      "a JPEG XL image; 'pip install pillow-jxl-plugin' and try again, or "
      "convert it to PNG or JPEG"
    )  # fmt: skip
  if brand == b"crx ":
    return _RAW
  if brand and not _is_avif(data):
    return _VIDEO
  if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
    return _VIDEO
  if data[:4] in (b"II*\0", b"MM\0*") and _is_raw_tiff(data):
    return _RAW
  text = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
  if text.startswith(b"<") and b"<svg" in text:
    return "an SVG drawing; render it to PNG first"
  return None


def _is_avif(data: bytes) -> bool:
  size = int.from_bytes(data[:4], "big")
  brands = data[8 : min(size, 256)]
  return any(b in (b"avif", b"avis") for b in _by_four(brands))


def _by_four(data: bytes) -> list[bytes]:
  return [data[i : i + 4] for i in range(0, len(data), 4)]


def _heif() -> bool:
  try:
    importlib.import_module("pillow_heif").register_heif_opener()
  except ImportError:
    return False
  return True


def _loads(module: str) -> bool:
  try:
    importlib.import_module(module)
  except ImportError:
    return False
  return True


def _is_raw_tiff(data: bytes) -> bool:
  """Whether the first picture of a TIFF stands for sensor data."""
  from sclc_jax.images import exif

  if data[8:10] == b"CR":  # Canon
    return True
  try:
    values = exif.read(data, exif.first_directory(data))
  except (ValueError, struct.error):
    return False
  preview = values.get(_NEW_SUBFILE_TYPE, 0) & 1 and _SUB_IFDS in values
  return bool(
    preview or _DNG_VERSION in values or values.get(262) in _RAW_PHOTOMETRIC
  )
