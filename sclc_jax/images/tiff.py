"""TIFFs that Pillow reads wrongly or not at all, by tifffile."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from sclc_jax.images.kinds import RefusedError
from sclc_jax.images.samples import Samples, unpremultiplied

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SPACES = {
  0: "gray",
  1: "gray",
  2: "rgb",
  5: "cmyk",
}  # PhotometricInterpretation
_NAMES = {**_SPACES, 3: "palette", 6: "YCbCr", 8: "CIELAB", 9: "CIELAB"}


def is_plain(tags) -> bool:
  """Whether Pillow reads the samples as they are meant.

  tests/images/depths_test.py holds it against libtiff.

  Args:
    tags: of Pillow, by number.
  """
  bits, photometric = set(tags.get(258, (1,))), tags.get(262, 1)
  contiguous = tags.get(284, 1) == 1 or tags.get(277, 1) == 1
  if set(_tuple(tags.get(339, 1))) != {1}:  # signed or floating-point
    return False
  if tags.get(259, 1) in (6, 7):  # JPEG
    return bits == {8}
  if bits == {16}:
    gray = photometric == 1 and tags.get(277, 1) == 1
    return contiguous and (gray or photometric in (2, 5))
  if bits not in ({1}, {2}, {4}, {8}):
    return False
  if photometric == 6:
    return contiguous and _has_whole_chroma(tags)
  if photometric == 8:
    return contiguous
  return photometric in (0, 1, 2, 3, 5) and (contiguous or not tags.get(338))


def _has_whole_chroma(tags) -> bool:
  """Of YCbCr that is not JPEG: as many samples as pixels, on full scales."""
  sizes = _tuple(tags.get(279, 0))
  whole = tags.get(530) == (1, 1) or (
    tags.get(259, 1) == 1 and sum(sizes) == 3 * tags[256] * tags[257]
  )
  weights = [round(float(v), 3) for v in tags.get(529, (0.299, 0.587, 0.114))]
  scale = [float(v) for v in tags.get(532, (0, 255, 128, 255, 128, 255))]
  return (
    whole
    and weights == [0.299, 0.587, 0.114]
    and scale == [0, 255, 128, 255, 128, 255]
  )


def _tuple(value) -> tuple:
  return value if isinstance(value, tuple) else (value,)


def read(data: bytes, check_size: Callable[[tuple[int, int]], None]) -> Samples:
  """The first picture's samples.

  Args:
    data: the file.
    check_size: raises for a (width, height) that is too large.

  Raises:
    RefusedError: they are of no kind that is read.
  """
  import tifffile

  with tifffile.TiffFile(io.BytesIO(data)) as file:
    page = file.pages[0]
    _check_kind(page)
    check_size((page.imagewidth, page.imagelength))
    if int(page.bitspersample) in (8, 16):
      try:
        values = page.asarray(squeeze=False)
      except ValueError:  # a compression that tifffile alone does not know
        raise _refused(page, f"compressed by {page.compression.name}") from None
    else:
      values = _unpacked(file, page)
    profile = page.tags.get(34675)
    return _samples(page, values, profile.value if profile else b"")


def size(file: BinaryIO) -> tuple[int, int]:
  """Width and height of the first picture."""
  import tifffile

  file.seek(0)
  with tifffile.TiffFile(file) as opened:
    page = opened.pages[0]
    return page.imagewidth, page.imagelength


def _refused(page, text: str) -> RefusedError:
  space = _NAMES.get(int(page.photometric), f"kind {int(page.photometric)}")
  planes = ", planes apart" if int(page.planarconfig) == 2 else ""
  return RefusedError(
    f"its {page.bitspersample}-bit {space} samples are {text}{planes}; "
    "convert it to a gray or RGB PNG of 8 or 16 bits first"
  )


def _check_kind(page) -> None:
  form, photometric = int(page.sampleformat), int(page.photometric)
  if form != 1:
    kinds = {2: "signed numbers", 3: "floating-point numbers"}
    raise _refused(page, kinds.get(form, f"of format {form}"))
  if int(page.bitspersample) > 16 or photometric not in _SPACES:
    raise _refused(page, "not read")
  if page.imagedepth != 1:
    raise _refused(page, "a volume's")


def _unpacked(file, page) -> np.ndarray:
  """Samples of other than 8 or 16 bits: [planes, 1, H, W, samples]."""
  import tifffile

  if page.is_tiled or int(page.predictor) != 1 or int(page.fillorder) != 1:
    raise _refused(page, "in tiles, predicted or in reversed bits")
  try:
    inflate = tifffile.TIFF.DECOMPRESSORS[page.compression]
    if inflate is None:
      inflate = bytes
  except KeyError:
    raise _refused(page, f"compressed by {page.compression.name}") from None
  segments = file.filehandle.read_segments(
    page.dataoffsets, page.databytecounts, sort=True
  )
  strips = {index: inflate(segment) for segment, index in segments}
  data = b"".join(strips[i] for i in sorted(strips))
  planes = page.samplesperpixel if int(page.planarconfig) == 2 else 1
  samples, bits = page.samplesperpixel // planes, int(page.bitspersample)
  rows = np.frombuffer(data, np.uint8).reshape(planes * page.imagelength, -1)
  flat = np.unpackbits(rows, axis=1)[:, : page.imagewidth * samples * bits]
  flat = flat.reshape(-1, bits)
  wide = np.packbits(np.pad(flat, [(0, 0), (16 - bits, 0)]), axis=1)
  values = wide.view(">u2").astype(np.uint16)
  shape = (planes, 1, page.imagelength, page.imagewidth, samples)
  return values.reshape(shape)


def _samples(page, values: np.ndarray, icc: bytes) -> Samples:
  """Of an array [planes, 1, H, W, samples], one of which is 1."""
  values = np.moveaxis(values[:, 0], 0, -1)
  values = values.reshape(*values.shape[:2], -1)
  top = 2 ** int(page.bitspersample) - 1
  if top not in (255, 65535):
    values = values.astype(np.uint32) * 65535 + top // 2
    values = (values // top).astype(np.uint16)
  values = values.astype(values.dtype.newbyteorder("="), copy=False)
  space = _SPACES[int(page.photometric)]
  count = {"gray": 1, "rgb": 3, "cmyk": 4}[space]
  colours, alpha = values[..., :count], None
  for extra, kind in enumerate(map(int, page.extrasamples), start=count):
    if kind in (1, 2) and extra < values.shape[2]:
      alpha = values[..., extra]
      if kind == 1:
        colours = unpremultiplied(colours, alpha)
      break
  if int(page.photometric) == 0:
    colours = np.iinfo(colours.dtype).max - colours
  if count == 1:
    colours = colours[..., 0]
  return Samples(colours, space, alpha, icc)
