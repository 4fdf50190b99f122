"""A Pillow plugin: importing it teaches Pillow to read and write .sclc files.

    import sclc_jax.pillow
    from PIL import Image

    image = Image.open("photo.sclc")        # size, mode, metadata
    image.save("smaller.sclc", quality=2)   # pixels are decoded, and coded

Everything heavy is imported where it is used: NumPy with the first file, JAX
with the first pixel.
"""

from __future__ import annotations

import io
import os
import threading

from PIL import Image, ImageFile, UnidentifiedImageError

FORMAT = "SCLC"
MIME = "image/x-sclc"
SUFFIX = ".sclc"
_EXIF_START = b"Exif\0\0"  # Pillow's EXIF has it, the one in our files has not

_models: dict[bytes, str] = {}  # files that were registered, by fingerprint
_codecs: dict[tuple, object] = {}  # that were opened, by model and options
_opening = threading.Lock()


def register_model(path: str | os.PathLike) -> None:
  """Lets Pillow read what this .sclcm file wrote; shipped models are known.

  Raises:
    ValueError: the file is missing or damaged.
  """
  from sclc_jax.codec.model.tensor_file import read_fingerprint

  _models[read_fingerprint(path)] = os.fspath(path)


class SclcImageFile(ImageFile.ImageFile):
  """An .sclc file; its pixels are decoded when they are first asked for."""

  format = FORMAT
  format_description = "Selective compression learning"

  def _open(self) -> None:
    from sclc_jax.codec.stream import bitstream, sections

    self._data = self.fp.read()
    try:
      file = bitstream.unpack(self._data)
      metadata = sections.decode_metadata(file.sections)
    except ValueError as error:
      raise UnidentifiedImageError(str(error)) from None
    self._fingerprint = file.fingerprint
    self._scale = 1  # of a preview
    self._size = file.width, file.height
    mode = "L" if file.colour == bitstream.GRAY else "RGB"
    self._mode = mode + "A" * (bitstream.ALPHA in file.sections)
    if "icc" in metadata:
      self.info["icc_profile"] = metadata["icc"]
    if "exif" in metadata:
      self.info["exif"] = _EXIF_START + metadata["exif"]
    if "xmp" in metadata:
      self.info["xmp"] = metadata["xmp"]
    self._set_tile()

  def _set_tile(self) -> None:
    self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]

  def draft(self, mode, size):
    """Takes a preview, where that is at least of a size; see `Image.draft`.

    Only models that have previews give one. The mode stays.
    """
    del mode
    if not self.tile or self._data is None or self._scale > 1 or not size:
      return None
    width, height = self.size
    most = min(width // max(1, size[0]), height // max(1, size[1]))
    scale = next((scale for scale in (8, 4, 2) if scale <= most), 1)
    if scale == 1 or not _gives_previews(self._fingerprint):
      return None
    self._scale = scale
    self._size = -(-width // scale), -(-height // scale)
    self._set_tile()
    return self.mode, (0, 0, width / scale, height / scale)

  def load(self):
    """Decodes the pixels, once.

    Raises:
      OSError: they are damaged, or their model is not there.
    """
    if self.tile and self._data is not None:
      try:
        codec = _opened(_model_of(self._fingerprint))
        if self._scale > 1:
          pixels = codec.preview(self._data, self._scale)
        else:
          pixels = codec.decompress(self._data)
      except ValueError as error:
        raise OSError(str(error)) from None
      if self.fp and self._exclusive_fp:
        self.fp.close()
      self.fp = io.BytesIO(pixels.tobytes())
      self._data = None
    return super().load()

  def load_seek(self, pos: int) -> None:
    """Nothing: `load` leaves the pixels at the start."""


def _model_of(fingerprint: bytes) -> str:
  """The file of the model that reads files with this fingerprint."""
  from sclc_jax.codec.model.shipped import known_file

  if fingerprint in _models:
    return _models[fingerprint]
  shipped = known_file(fingerprint.hex())
  if shipped is None:
    raise ValueError(
      f"the file was made with model {fingerprint.hex()}, which is not "
      "shipped; call sclc_jax.pillow.register_model with its .sclcm file."
    )
  return os.fspath(shipped[1])


def _gives_previews(fingerprint: bytes) -> bool:
  from sclc_jax.codec.model.preview_file import has_preview

  try:
    return has_preview(_model_of(fingerprint), fingerprint)
  except ValueError:
    return False


def _opened(model: str | None, effort: int = 0):
  """A codec, opened once for each model and effort."""
  from sclc_jax.codec.codec import load_codec

  with _opening:
    key = model, effort
    if key not in _codecs:
      _codecs[key] = load_codec(model, max_pixels=2**62, effort=effort)
    return _codecs[key]


def _save(image: Image.Image, file, filename: str | bytes) -> None:
  """Writes a picture: what `Image.save` calls.

  Its options: `quality`, `effort` and `model` as of `sclc compress`;
  `icc_profile`, the picture's own if it is not given; `exif` and `xmp`, none
  if they are not. Pixels stay in the space of their profile, and as they lie:
  an orientation in the EXIF is left to those who show the file.
  """
  del filename
  from sclc_jax.images import from_pillow

  options = image.encoderinfo
  icc = options.get("icc_profile", image.info.get("icc_profile")) or b""
  try:
    pixels, icc = from_pillow(image, icc)
  except ValueError as error:  # as Pillow's own plugins do
    raise OSError(f"cannot write mode {image.mode} as {FORMAT}: {error}") from (
      None
    )
  exif = options.get("exif") or b""
  if isinstance(exif, Image.Exif):
    exif = exif.tobytes()
  xmp = options.get("xmp") or b""
  metadata = {
    "icc": icc,
    "exif": exif.removeprefix(_EXIF_START),
    "xmp": xmp.encode() if isinstance(xmp, str) else xmp,
  }
  model = options.get("model")
  codec = _opened(model and os.fspath(model), options.get("effort", 0))
  file.write(codec.compress(pixels, options.get("quality", 4.0), metadata))


Image.register_open(
  FORMAT, SclcImageFile, lambda prefix: prefix.startswith(b"SCL")
)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, SUFFIX)
Image.register_mime(FORMAT, MIME)
