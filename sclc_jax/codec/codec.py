"""Images to bytes and back with a frozen model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np

from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.exact.control import STEPS_PER_LEVEL, STRIDE, Z_MAX
from sclc_jax.codec.latents import quality_map
from sclc_jax.codec.latents.latent_coder import LatentCoder
from sclc_jax.codec.latents.refinement import Search, check_effort
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.codec.pixels.stacks import in_stacks, thread_pool
from sclc_jax.codec.pixels.transforms import Transforms, cropped, grid, padded
from sclc_jax.codec.stream import bitstream, sections
from sclc_jax.images import MAX_PIXELS


@dataclasses.dataclass(frozen=True)
class Analysis:
  """What all qualities of one image share.

  y is float32 [h, w, M], z int32 [h/4, w/4, N]; side and importance are the
  int32 of the control path; `z_data` is z, coded; `sections` are alpha and
  metadata, coded; `image` is what was analysed, without alpha, which a search
  looks at.
  """

  height: int
  width: int
  colour: int
  y: np.ndarray
  z: np.ndarray
  z_data: bytes
  side: np.ndarray
  importance: np.ndarray | None
  sections: Mapping[int, bytes] = dataclasses.field(default_factory=dict)
  image: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Symbols:
  """What a file decodes to, the same on every machine.

  step is the quality step, or int32 [h, w] where there is a quality map; z
  int32 [h/4, w/4, N]; mask bool [h, w, M]; of the n selected elements, in
  coding order, the table index and the symbol y, int32 [n]; y_hat float32
  [h, w, M], what the synthesis takes.
  """

  header: bitstream.Header
  step: int | np.ndarray
  z: np.ndarray
  mask: np.ndarray
  index: np.ndarray
  y: np.ndarray
  y_hat: np.ndarray


class Codec:
  """Compresses and decompresses with one model; safe to share by threads.

  Args:
    model: a frozen model.
    engine: range coder: `auto`, `tfc` or `portable`; the bytes are the same.
    max_pixels: files that declare more are refused before any allocation.
    rate_weight: see `rounding.Rounding`; the model's own if None.
    effort: passes of the search for better symbols (`search`), 0 to 64. Each
      takes about the time of an analysis and a synthesis; what precedes the
      first, that of three. Decoding takes as long as ever.
    progress: shows a bar on stderr while an image is searched.

  Raises:
    ValueError: the model cannot be searched.
  """

  def __init__(
    self,
    model: CodecModel,
    engine: str = "auto",
    max_pixels: int = MAX_PIXELS,
    rate_weight: float | None = None,
    effort: int = 0,
    progress: bool = False,
  ):
    check_effort(model, effort)
    self.model = model
    self.effort = effort
    self.max_pixels = max_pixels
    self._engine = get_engine(engine)
    if rate_weight is None:
      rate_weight = model.config.rate_weight
    self._latents = LatentCoder(model, self._engine, rate_weight)
    self.transforms = Transforms(model.config, model.params)
    self._search = None
    if effort:
      self._search = Search(
        model, self.transforms, self._latents, effort, progress
      )

  def analyse(
    self, image: np.ndarray, metadata: Mapping[str, bytes] | None = None
  ) -> Analysis:
    """Transforms an image once, for any number of qualities.

    Args:
      image: uint8 [H, W, 3] or [H, W] (gray), at least 1x1; [H, W, 4] and
        [H, W, 2] are these with alpha, which is kept exactly.
      metadata: see `compress`.
    """
    image = self._checked(image)
    return self._analysed(
      image, self.transforms.analysis(without_alpha(image)), metadata
    )

  def _checked(self, image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or not (
      image.ndim == 2 or (image.ndim == 3 and 2 <= channels <= 4)
    ):
      raise ValueError(
        "an image is uint8 [H, W, 3] or [H, W], or with alpha [H, W, 4] or "
        f"[H, W, 2], got {image.dtype} {list(image.shape)}."
      )
    height, width = image.shape[:2]
    if not (height and width) or height * width > self.max_pixels:
      raise ValueError(
        f"the image has {width}x{height} pixels; 1 to {self.max_pixels} can "
        "be coded (raise max_pixels, --max-pixels)."
      )
    if max(height, width) > bitstream.MAX_SIDE:
      raise ValueError(
        f"the image has {width}x{height} pixels; a side of up to "
        f"{bitstream.MAX_SIDE} can be coded: cut it into parts."
      )
    return image

  def _analysed(
    self,
    image: np.ndarray,
    y: np.ndarray,
    metadata: Mapping[str, bytes] | None = None,
  ) -> Analysis:
    """All that follows from y, and the sections of the image."""
    height, width = image.shape[:2]
    extra = sections.encode_metadata(metadata or {})
    if without_alpha(image) is not image:
      extra[bitstream.ALPHA] = sections.encode_alpha(image[..., -1])
    z = self.transforms.hyper_analysis(y)
    z_data = self._engine.encode(
      self.model.z_tables, z.ravel(), self._z_indexes(z.shape)
    )
    side, importance = self.model.control.prior(z)
    image = without_alpha(image)
    colour = bitstream.GRAY if image.ndim == 2 else bitstream.RGB
    return Analysis(
      height, width, colour, y, z, z_data, side, importance, extra, image
    )

  def encode(
    self,
    analysis: Analysis,
    quality: float | np.ndarray = 4.0,
    search: bool = True,
  ) -> bytes:
    """Codes an analysed image at one quality: the bytes of an .sclc file.

    Args:
      analysis: of `analyse`.
      quality: see `compress`.
      search: where the codec has an `effort`; False takes what the analysis
        gave.
    """
    return self._pack(analysis, *self._choose(analysis, quality, search))

  def _choose(
    self,
    analysis: Analysis,
    quality: float | np.ndarray,
    search: bool = True,
  ):
    """(highest step, sections, table index and symbol of what is selected)."""
    high, found = self._quality_steps(quality, analysis.height, analysis.width)
    extra = dict(analysis.sections)
    step: int | np.ndarray = high
    if found is not None:
      extra[bitstream.QUALITY_MAP] = quality_map.encode(found, self._engine)
      step = found.steps()
    mask = self.model.control.mask(analysis.importance, step, analysis.y.shape)
    if self._search and search:
      return high, extra, *self._search(analysis, mask, step)[:2]
    chosen = self._latents.choose(analysis.y, analysis.side, mask, step)
    return high, extra, *chosen

  def chosen(
    self, analysis: Analysis, quality: float | np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Table index and symbol of what `encode` codes of y, int32 [n] each."""
    _, _, indexes, symbols = self._choose(analysis, quality)
    return indexes, symbols

  def _pack(self, analysis: Analysis, high, extra, indexes, y) -> bytes:
    y_data = self._engine.encode(self.model.y_tables, y, indexes)
    header = bitstream.Header(
      self.model.fingerprint,
      analysis.colour,
      high,
      analysis.height,
      analysis.width,
      len(analysis.z_data),
      len(y_data),
      bitstream.symbols_check(analysis.z, y),
    )
    return bitstream.pack(header, analysis.z_data, y_data, extra)

  def reconstruct(
    self, analysis: Analysis, quality: float | np.ndarray = 4.0
  ) -> np.ndarray:
    """The picture that `decompress` will give, without alpha or coding."""
    y_hat = self.y_hat(analysis, quality)
    return self.transforms.synthesis(
      y_hat, analysis.height, analysis.width, analysis.colour
    )

  def y_hat(
    self, analysis: Analysis, quality: float | np.ndarray = 4.0
  ) -> np.ndarray:
    """The y_hat that a file of this quality decodes to, float32 [h, w, M]."""
    step, mask = self._step_and_mask(analysis, quality)
    if self._search:
      return self._search(analysis, mask, step)[2]
    return self._latents.quantise(analysis.y, analysis.side, mask, step)[2]

  def compress(
    self,
    image: np.ndarray,
    quality: float | np.ndarray = 4.0,
    metadata: Mapping[str, bytes] | None = None,
  ) -> bytes:
    """Image to the bytes of an .sclc file.

    Args:
      image: uint8 [H, W, 3] or [H, W]; with alpha [H, W, 4] or [H, W, 2].
      quality: in [1, L], rounded to the nearest 1/64; or an array of them of
        any size [h, w], stretched over the image: a quality for each place,
        averaged over squares of 64x64 pixels and rounded to 16 steps between
        the lowest and the highest of these averages.
      metadata: bytes of an `icc` profile and an `exif` block to keep.
    """
    self._check_quality(quality)
    analysis = self.analyse(image, metadata)
    chosen = self._choose(analysis, quality)
    empty = np.empty(0, np.float32)  # frees what a large image cannot spare
    analysis = dataclasses.replace(
      analysis, y=empty, side=empty, importance=None
    )
    return self._pack(analysis, *chosen)

  def decompress(self, data: bytes) -> np.ndarray:
    """The bytes of an .sclc file to an image of the shape that was compressed.

    Returns:
      uint8 [H, W, 3] or [H, W]; with alpha [H, W, 4] or [H, W, 2].

    Raises:
      ValueError: the file is damaged, or was made with another model.
    """
    header, alpha, y_hat = self._decoded(data)
    image = self.transforms.synthesis(
      y_hat, header.height, header.width, header.colour
    )
    return image if alpha is None else np.dstack([image, alpha])

  def _decoded(self, data: bytes):
    """(header, alpha or None, y_hat): all that precedes the synthesis."""
    found = self.symbols(data)
    header = found.header
    extra = bitstream.read_sections(header, data)
    alpha = None
    if bitstream.ALPHA in extra:
      alpha = sections.decode_alpha(
        extra[bitstream.ALPHA], header.height, header.width
      )
    return header, alpha, found.y_hat

  def metadata(self, data: bytes) -> dict[str, bytes]:
    """The `icc` profile and `exif` block that a file keeps, if any."""
    header = bitstream.unpack(data)[0]
    return sections.decode_metadata(bitstream.read_sections(header, data))

  def symbols(self, data: bytes) -> Symbols:
    """Everything that a file decides before the synthesis; raises likewise."""
    header, z_data, y_data = bitstream.unpack(data)
    step, z, side, mask = self._decode_control(header, z_data, data)
    index, y, y_hat = self._latents.decode(y_data, side, mask, step)
    if bitstream.symbols_check(z, y) != header.symbols_check:
      raise ValueError(
        "the file is whole, but its symbols do not decode to what was "
        "written; please report this machine and its library versions "
        "('sclc --version')."
      )
    return Symbols(header, step, z, mask, index, y, y_hat)

  def compress_many(
    self,
    images: Iterable[np.ndarray],
    quality: float | np.ndarray = 4.0,
  ) -> list[bytes]:
    """`compress` for each image, several in flight.

    An accelerator transforms images of one size together. Its sums may then
    take another order, so that a symbol is rounded the other way and a file
    differs from that of `compress`; it decodes all the same.
    """
    images = [self._checked(image) for image in images]
    self._check_quality(quality)

    def one(index: int, y: np.ndarray | None) -> bytes:
      image = images[index]
      if y is None:
        y = self.transforms.analysis(without_alpha(image))
      return self.encode(self._analysed(image, y), quality)

    def stack(indexes: list[int]) -> np.ndarray:
      return np.stack([padded(without_alpha(images[i])) for i in indexes])

    shapes = [grid(*image.shape[:2]) for image in images]
    return in_stacks(self.transforms, "analysis", shapes, stack, one)

  def decompress_many(self, files: Iterable[bytes]) -> list[np.ndarray]:
    """`decompress` for each file, several in flight.

    Where an accelerator synthesises pictures of one size together, they may
    differ by 1 of 255 from those of `decompress`.
    """
    files = list(files)
    headers = [bitstream.unpack(data)[0] for data in files]
    alphas: dict[int, np.ndarray | None] = {}  # of those in stacks

    def one(index: int, pixels: np.ndarray | None) -> np.ndarray:
      if pixels is None:
        return self.decompress(files[index])
      header, alpha = headers[index], alphas[index]
      image = cropped(pixels, header.height, header.width, header.colour)
      return image if alpha is None else np.dstack([image, alpha])

    def stack(indexes: list[int]) -> np.ndarray:
      with thread_pool() as pool:
        decoded = list(pool.map(self._decoded, (files[i] for i in indexes)))
      alphas.update((i, alpha) for i, (_, alpha, _) in zip(indexes, decoded))
      return np.stack([y_hat for *_, y_hat in decoded])

    shapes = [grid(header.height, header.width) for header in headers]
    return in_stacks(self.transforms, "synthesis", shapes, stack, one)

  def info(self, data: bytes) -> dict:
    """What a file holds; decodes z, not y."""
    header, z_data, _ = bitstream.unpack(data)
    info = describe(header, len(data))
    if header.fingerprint == self.model.fingerprint:
      mask = self._decode_control(header, z_data, data)[3]
      info["base"] = self.model.config.base
      info["selected_fraction"] = float(mask.mean())
    return info

  def mask(self, analysis: Analysis, quality: float | np.ndarray) -> np.ndarray:
    """The elements coded at a quality, bool [h, w, M]."""
    return self._step_and_mask(analysis, quality)[1]

  def _step_and_mask(
    self, analysis: Analysis, quality: float | np.ndarray
  ) -> tuple[int | np.ndarray, np.ndarray]:
    """The quality step, one or one a position, and the elements coded."""
    high, found = self._quality_steps(quality, analysis.height, analysis.width)
    step = high if found is None else found.steps()
    shape = analysis.y.shape
    return step, self.model.control.mask(analysis.importance, step, shape)

  def quality_step(self, quality: float) -> int:
    """Quality in [1, L] to 64ths of a level above 1."""
    top = self.model.top_quality
    if not (math.isfinite(quality) and 1 <= quality <= top):
      raise ValueError(
        f"quality must lie in [1, {top}], got {quality}; 1 gives the "
        f"smallest file, {top} the best picture."
      )
    return round((quality - 1) * STEPS_PER_LEVEL)

  def _check_quality(self, quality: float | np.ndarray) -> None:
    if np.ndim(quality) not in (0, 2) or not np.size(quality):
      raise ValueError(
        "quality is a number or an array [h, w] of numbers, got shape "
        f"{list(np.shape(quality))}."
      )
    for value in (np.min(quality), np.max(quality)):
      self.quality_step(float(value))

  def _quality_steps(
    self, quality: float | np.ndarray, height: int, width: int
  ) -> tuple[int, quality_map.QualityMap | None]:
    """The highest step, and the map where there is more than one."""
    self._check_quality(quality)
    if np.ndim(quality) == 0:
      return self.quality_step(float(quality)), None
    squares = quality_map.resample(np.asarray(quality), height, width)
    squares = np.clip(squares, 1, self.model.top_quality)
    low, high = (self.quality_step(float(f(squares))) for f in (np.min, np.max))
    if low == high:
      return high, None
    share = ((squares - 1) * STEPS_PER_LEVEL - low) / (high - low)
    values = np.clip(np.round(share * quality_map.TOP), 0, quality_map.TOP)
    return high, quality_map.QualityMap(values.astype(np.int32), low, high)

  def _decode_control(self, header, z_data, data):
    if header.fingerprint != self.model.fingerprint:
      raise ValueError(
        f"the file was made with model {header.fingerprint.hex()}, this is "
        f"{self.model.fingerprint.hex()}; give that model with --model."
      )
    pixels = header.height * header.width
    if pixels > self.max_pixels:
      raise ValueError(
        f"the file declares {header.width}x{header.height} pixels, more than "
        f"the limit of {self.max_pixels}; raise --max-pixels if you trust it."
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
    if z.min() < -Z_MAX or z.max() > Z_MAX:  # |-2**31| is not an int32
      raise bitstream.DamagedFileError(
        "the file's hyper latent is out of range; it is damaged."
      )
    step = header.step
    extra = bitstream.read_sections(header, data)
    if bitstream.QUALITY_MAP in extra:
      step = quality_map.decode(
        extra[bitstream.QUALITY_MAP],
        header.height,
        header.width,
        header.step,
        self._engine,
      ).steps()
    side, importance = self.model.control.prior(z)
    shape = (*side.shape[:2], self.model.config.M)
    mask = self.model.control.mask(importance, step, shape)
    return step, z, side, mask

  def _z_indexes(self, shape) -> np.ndarray:
    channels = np.arange(shape[2], dtype=np.int32)
    return np.tile(channels, shape[0] * shape[1])


def without_alpha(image: np.ndarray) -> np.ndarray:
  """Without alpha; the image itself where it has none."""
  if image.ndim == 2 or image.shape[2] == 3:
    return image
  return image[..., 0] if image.shape[2] == 2 else image[..., :3]


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
    **{
      f"{bitstream.SECTION_NAMES[kind]}_bytes": size
      for kind, size in header.sections
    },
    "bpp": 8 * size / max(1, header.width * header.height),
  }


def load_codec(path_or_name: str | None = None, **options) -> Codec:
  """Opens a codec.

  Args:
    path_or_name: an .sclcm file, or a shipped name; None is the default.
    **options: of `Codec`: `engine`, `max_pixels`, `rate_weight`, `effort`,
      `progress`.
  """
  return Codec(find_model(path_or_name), **options)
