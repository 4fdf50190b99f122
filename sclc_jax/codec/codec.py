"""Images to bytes and back with a frozen model."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.codec import bitstream
from sclc_jax.codec.control import STEPS_PER_LEVEL, Z_MAX
from sclc_jax.codec.latent_coder import LatentCoder
from sclc_jax.codec.model_file import CodecModel, find_model
from sclc_jax.codec.range_coder import get_engine
from sclc_jax.models.variable_rate import VariableRate

STRIDE = 64  # of z, in pixels
_STRIP_AREA = 6000  # latent positions a strip: 1.5 megapixels
_MARGIN = 4  # latent rows that a strip's edge can influence, rounded up


@dataclasses.dataclass(frozen=True)
class Analysis:
  """What all qualities of one image share.

  y is float32 [h, w, M], z int32 [h/4, w/4, N]; side and importance are the
  integers of the control path; `z_data` is z, coded.
  """

  height: int
  width: int
  colour: int
  y: np.ndarray
  z: np.ndarray
  z_data: bytes
  side: np.ndarray
  importance: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Symbols:
  """What a file decodes to, the same on every machine.

  z int32 [h/4, w/4, N]; mask bool [h, w, M]; of the n selected elements, in
  coding order, the table index and the symbol y, int32 [n]; y_hat float32
  [h, w, M], what the synthesis takes.
  """

  header: bitstream.Header
  z: np.ndarray
  mask: np.ndarray
  index: np.ndarray
  y: np.ndarray
  y_hat: np.ndarray


@functools.partial(jax.jit, static_argnums=(0, 1))
def _apply(config, method, params, x):
  if method == "analysis":
    x = x.astype(jnp.float32) / 127.5 - 1.0
  out = VariableRate(config).apply({"params": params}, x[None], method=method)
  if method == "synthesis":
    out = jnp.round(jnp.clip((out + 1.0) * 127.5, 0, 255)).astype(jnp.uint8)
  return out[0]


def _strips(rows: int, size: int) -> Iterator[tuple[int, int, int, int]]:
  """Overlapping strips (start, stop, first and last row to keep)."""
  keep = 0
  while keep < rows:
    start = max(0, min(keep - _MARGIN, rows - size))
    stop = min(start + size, rows)
    end = rows if stop == rows else stop - _MARGIN
    yield start, stop, keep, end
    keep = end


class Codec:
  """Compresses and decompresses with one model.

  Args:
    model: a frozen model.
    engine: range coder: `auto`, `tfc` or `portable`; the bytes are the same.
    max_pixels: files that declare more are refused before any allocation.
  """

  def __init__(
    self,
    model: CodecModel,
    engine: str = "auto",
    max_pixels: int = bitstream.MAX_PIXELS,
  ):
    self.model = model
    self._engine = get_engine(engine)
    self._latents = LatentCoder(model, self._engine)
    self._max_pixels = max_pixels
    self._params = jax.tree.map(jnp.asarray, model.params)

  def analyse(self, image: np.ndarray) -> Analysis:
    """Transforms an image once, for any number of qualities.

    Args:
      image: uint8 [H, W, 3] or [H, W] (gray), at least 1x1.
    """
    image = np.asarray(image)
    gray = image.ndim == 2
    if image.dtype != np.uint8 or not (
      gray or (image.ndim == 3 and image.shape[2] == 3)
    ):
      raise ValueError(
        "an image is uint8 [H, W, 3] or [H, W], got "
        f"{image.dtype} {list(image.shape)}."
      )
    height, width = image.shape[:2]
    if not (height and width) or height * width > self._max_pixels:
      raise ValueError(
        f"the image has {width}x{height} pixels; 1 to {self._max_pixels} can "
        "be coded (raise max_pixels, --max-pixels)."
      )
    rgb = np.repeat(image[..., None], 3, -1) if gray else image
    pad = [(0, -n % STRIDE) for n in (height, width)]
    y = self._analysis(np.pad(rgb, (*pad, (0, 0)), mode="edge"))
    z = np.asarray(self._run("hyper_analysis", y))
    z = np.clip(np.round(z), -Z_MAX, Z_MAX).astype(np.int32)
    z_data = self._engine.encode(
      self.model.z_tables, z.ravel(), self._z_indexes(z.shape)
    )
    side, importance = self.model.control.prior(z)
    colour = bitstream.GRAY if gray else bitstream.RGB
    return Analysis(height, width, colour, y, z, z_data, side, importance)

  def encode(self, analysis: Analysis, quality: float = 4.0) -> bytes:
    """Codes an analysed image at one quality: the bytes of an .sclc file."""
    step = self.quality_step(quality)
    mask = self.model.control.mask(analysis.importance, step, analysis.y.shape)
    y, y_data = self._latents.encode(analysis.y, analysis.side, mask, step)
    header = bitstream.Header(
      self.model.fingerprint,
      analysis.colour,
      step,
      analysis.height,
      analysis.width,
      len(analysis.z_data),
      len(y_data),
      bitstream.symbols_check(analysis.z, y),
    )
    return bitstream.pack(header, analysis.z_data, y_data)

  def compress(self, image: np.ndarray, quality: float = 4.0) -> bytes:
    """Image to the bytes of an .sclc file.

    Args:
      image: uint8 [H, W, 3] or [H, W].
      quality: in [1, L], rounded to the nearest 1/64.
    """
    self.quality_step(quality)
    return self.encode(self.analyse(image), quality)

  def decompress(self, data: bytes) -> np.ndarray:
    """The bytes of an .sclc file to an image, uint8 [H, W, 3] or [H, W].

    Raises:
      ValueError: the file is damaged, or was made with another model.
    """
    found = self.symbols(data)
    header = found.header
    image = self._synthesis(found.y_hat)[: header.height, : header.width]
    if header.colour == bitstream.GRAY:
      image = np.round(image.astype(np.float32).mean(-1)).astype(np.uint8)
    return np.ascontiguousarray(image)

  def symbols(self, data: bytes) -> Symbols:
    """Everything that a file decides before the synthesis; raises likewise."""
    header, z_data, y_data = bitstream.unpack(data)
    z, side, mask = self._decode_control(header, z_data)
    index, y, y_hat = self._latents.decode(y_data, side, mask, header.step)
    if bitstream.symbols_check(z, y) != header.symbols_check:
      raise ValueError(
        "the file is whole, but its symbols do not decode to what was "
        "written; please report this machine and its library versions "
        "('sclc --version')."
      )
    return Symbols(header, z, mask, index, y, y_hat)

  def compress_many(self, images, quality: float = 4.0) -> list[bytes]:
    """`compress` for each image."""
    return [self.compress(image, quality) for image in images]

  def decompress_many(self, files) -> list[np.ndarray]:
    """`decompress` for each file."""
    return [self.decompress(data) for data in files]

  def info(self, data: bytes) -> dict:
    """What a file holds; decodes z, not y."""
    header, z_data, _ = bitstream.unpack(data)
    info = describe(header, len(data))
    if header.fingerprint == self.model.fingerprint:
      mask = self._decode_control(header, z_data)[2]
      info["base"] = self.model.config.base
      info["selected_fraction"] = float(mask.mean())
    return info

  def mask(self, analysis: Analysis, quality: float) -> np.ndarray:
    """The elements coded at a quality, bool [h, w, M]."""
    step = self.quality_step(quality)
    return self.model.control.mask(analysis.importance, step, analysis.y.shape)

  def quality_step(self, quality: float) -> int:
    """Quality in [1, L] to 64ths of a level above 1."""
    top = self.model.top_quality
    if not (math.isfinite(quality) and 1 <= quality <= top):
      raise ValueError(
        f"quality must lie in [1, {top}], got {quality}; 1 gives the "
        f"smallest file, {top} the best picture."
      )
    return round((quality - 1) * STEPS_PER_LEVEL)

  def _decode_control(self, header, z_data):
    if header.fingerprint != self.model.fingerprint:
      raise ValueError(
        f"the file was made with model {header.fingerprint.hex()}, this is "
        f"{self.model.fingerprint.hex()}; give that model with --model."
      )
    pixels = header.height * header.width
    if pixels > self._max_pixels:
      raise ValueError(
        f"the file declares {header.width}x{header.height} pixels, more than "
        f"the limit of {self._max_pixels}; raise --max-pixels if you trust it."
      )
    if header.step > STEPS_PER_LEVEL * (self.model.top_quality - 1):
      raise bitstream.DamagedFileError(
        f"the file declares quality {header.quality}; it is damaged."
      )
    shape = (
      -(-header.height // STRIDE),
      -(-header.width // STRIDE),
      self.model.config.N,
    )
    z = self._engine.decode(
      self.model.z_tables, z_data, self._z_indexes(shape)
    ).reshape(shape)
    if np.abs(z).max() > Z_MAX:
      raise bitstream.DamagedFileError(
        "the file's hyper latent is out of range; it is damaged."
      )
    side, importance = self.model.control.prior(z)
    shape = (*side.shape[:2], self.model.config.M)
    mask = self.model.control.mask(importance, header.step, shape)
    return z, side, mask

  def _z_indexes(self, shape) -> np.ndarray:
    channels = np.arange(shape[2], dtype=np.int32)
    return np.tile(channels, shape[0] * shape[1])

  def _run(self, method: str, x: np.ndarray) -> jax.Array:
    return _apply(self.model.config, method, self._params, x)

  def _in_strips(self, method, x, scale_in, scale_out) -> np.ndarray:
    rows, columns = x.shape[0] // scale_in, x.shape[1] // scale_in
    size = rows
    if rows * columns > 1.5 * _STRIP_AREA:
      size = min(rows, max(_STRIP_AREA // columns, 4 * _MARGIN))
    parts = []
    for start, stop, first, last in _strips(rows, size):
      part = self._run(method, x[start * scale_in : stop * scale_in])
      part = np.asarray(part)
      parts.append(
        part[(first - start) * scale_out : (last - start) * scale_out]
      )
    return parts[0] if len(parts) == 1 else np.concatenate(parts)

  def _analysis(self, padded: np.ndarray) -> np.ndarray:
    return self._in_strips("analysis", padded, 16, 1)

  def _synthesis(self, y_hat: np.ndarray) -> np.ndarray:
    return self._in_strips("synthesis", y_hat, 1, 16)


def describe(header: bitstream.Header, size: int) -> dict:
  """What the header alone tells."""
  return {
    "bytes": size,
    "width": header.width,
    "height": header.height,
    "colour": "gray" if header.colour == bitstream.GRAY else "rgb",
    "quality": header.quality,
    "model": header.fingerprint.hex(),
    "header_bytes": header.header_bytes,
    "z_bytes": header.z_bytes,
    "y_bytes": header.y_bytes,
    "bpp": 8 * size / max(1, header.width * header.height),
  }


def load_codec(path_or_name: str | None = None, **options) -> Codec:
  """Opens a codec.

  Args:
    path_or_name: an .sclcm file, or a shipped name; None is the default.
    **options: `engine`, `max_pixels`; see `Codec`.
  """
  return Codec(find_model(path_or_name), **options)
