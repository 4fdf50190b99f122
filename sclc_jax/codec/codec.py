"""Images to bytes and back with a frozen model: what users call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np

from sclc_jax.codec import rate_control
from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.latents.analysis import Analysis, Symbols
from sclc_jax.codec.latents.decoder import Decoder
from sclc_jax.codec.latents.encoder import Encoder
from sclc_jax.codec.latents.latent_coder import LatentCoder
from sclc_jax.codec.latents.quality import check_quality
from sclc_jax.codec.latents.refinement import Refinement, check_effort
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.codec.pixels import picture, stacks
from sclc_jax.codec.pixels.preview import check_preview, preview
from sclc_jax.codec.pixels.transforms import Transforms
from sclc_jax.codec.stream import bitstream, sections
from sclc_jax.images import MAX_PIXELS, as_pixels


class Codec:
  """Compresses and decompresses with one model; safe to share by threads.

  Args:
    model: a frozen model.
    engine: range coder: `auto`, `tfc` or `portable`; the bytes are the same.
    max_pixels: files that declare more are refused before any allocation.
    rate_weight: see `rdoq.RDOQ`; the model's own if None.
    effort: passes of latent refinement, 0 to 64, each about as long as an
      analysis and a synthesis; what else it takes, as long as four.
    progress: shows bars on stderr while an image is refined or has many tiles.
    fast: pictures come from the model's shallow synthesis: sooner, less good.

  Raises:
    ValueError: the model cannot be refined, or has no shallow synthesis.
  """

  def __init__(
    self,
    model: CodecModel,
    engine: str = "auto",
    max_pixels: int = MAX_PIXELS,
    rate_weight: float | None = None,
    effort: int = 0,
    progress: bool = False,
    fast: bool = False,
  ):
    check_effort(model, effort)
    self.model = model
    self.effort = effort
    self.max_pixels = max_pixels
    self.transforms = Transforms.of(model, fast, progress)
    coder = get_engine(engine)
    latents = LatentCoder(model, coder, rate_weight)
    refinement = None
    if effort:
      refinement = Refinement(model, self.transforms, latents, effort, progress)
    self._encoder = Encoder(model, coder, latents, refinement)
    self._decoder = Decoder(model, coder, latents, max_pixels)

  def __repr__(self) -> str:
    return f"Codec({self.model}, effort={self.effort})"

  def analyse(
    self,
    image: np.ndarray,
    metadata: Mapping[str, bytes] | None = None,
    y: np.ndarray | None = None,
  ) -> Analysis:
    """Transforms an image once, for any number of qualities.

    Args:
      image: uint8 [H, W, 3] or [H, W] (gray), at least 1x1; [H, W, 4] and
        [H, W, 2] are these with alpha, which is kept exactly. Colours under
        an alpha of 0 are not: they are filled from the visible ones around.
      metadata: see `compress`.
      y: what `transforms.analysis` gives for the image, if known.
    """
    image = picture.prepared(image, self.max_pixels)
    if y is None:
      y = self.transforms.analysis(picture.without_alpha(image))
    z = self.transforms.hyper_analysis(y)
    return self._encoder.analysis(image, y, z, metadata or {})

  def encode(
    self,
    analysis: Analysis,
    quality: float | np.ndarray = 4.0,
    refine: bool = True,
  ) -> bytes:
    """Codes an analysed image at one quality: the bytes of an .sclc file.

    Args:
      analysis: of `analyse`.
      quality: see `compress`.
      refine: where the codec has an `effort`; False takes what the analysis
        gave.
    """
    choice = self._encoder.choose(analysis, quality, refine)
    return bitstream.pack(self._encoder.file(analysis, choice))

  def mask(self, analysis: Analysis, quality: float | np.ndarray) -> np.ndarray:
    """The elements coded at a quality, bool [h, w, M]."""
    return self._encoder.quality_and_mask(analysis, quality)[1]

  def y_hat(
    self, analysis: Analysis, quality: float | np.ndarray = 4.0
  ) -> np.ndarray:
    """The y_hat that a file of this quality decodes to, float32 [h, w, M]."""
    return self._encoder.y_hat(analysis, quality)

  def reconstruct(
    self, analysis: Analysis, quality: float | np.ndarray = 4.0
  ) -> np.ndarray:
    """The picture that `decompress` will give, without alpha or coding."""
    q = self._encoder.quality(analysis, quality).q
    size = analysis.height, analysis.width, analysis.colour
    return self.transforms.synthesis(self.y_hat(analysis, quality), q, *size)

  def compress(
    self,
    image: np.ndarray | str | os.PathLike,
    quality: float | np.ndarray = 4.0,
    metadata: Mapping[str, bytes] | None = None,
    **target: float,
  ) -> bytes:
    """Image to the bytes of an .sclc file.

    Args:
      image: uint8 [H, W, 3] or [H, W]; with alpha [H, W, 4] or [H, W, 2]. Or
        the path of a picture, or one of Pillow: turned upright, in sRGB.
      quality: in [1, L], rounded to the nearest 1/64; or an array of them of
        any size [h, w], stretched over the image: a quality for each part,
        averaged over squares of 64x64 pixels and rounded to 16 steps between
        the lowest and the highest of these averages.
      metadata: bytes of an `icc` profile, and of an `exif` and an `xmp` block,
        to keep.
      **target: in place of a quality one of `target_bpp`, `target_bytes`,
        `max_bytes` and `target_psnr`: see `rate_control.compress_to`.
    """
    image = as_pixels(image, self.max_pixels)
    if target:
      kind, value = rate_control.read_target(target)
      return rate_control.compress_to(self, image, kind, value, metadata).data
    check_quality(quality, self.model.top_quality)
    analysis = self.analyse(image, metadata)
    choice = self._encoder.choose(analysis, quality)
    analysis = analysis.without_latents()  # a large image needs the memory
    return bitstream.pack(self._encoder.file(analysis, choice))

  def decompress(
    self, data: bytes, region: tuple[int, int, int, int] | None = None
  ) -> np.ndarray:
    """The bytes of an .sclc file to an image of the shape that was compressed.

    Args:
      data: of the file.
      region: left column, top row, width and height of the part to take; None
        for the whole picture. What is not near it is not synthesised, and its
        pixels are those of the whole picture.

    Returns:
      uint8 [H, W, 3] or [H, W]; with alpha [H, W, 4] or [H, W, 2].

    Raises:
      ValueError: the file is damaged, or was made with another model; or the
        region is not inside the picture.
    """
    file = bitstream.unpack(data)
    size = file.height, file.width
    part = picture.part_of(region or (0, 0, file.width, file.height), *size)
    symbols, alpha = self._decoder.symbols(file), sections.read_alpha(file)
    image = self.transforms.synthesis(
      symbols.y_hat, symbols.q, *size, file.colour, part
    )
    return picture.with_alpha(image, None if alpha is None else alpha[part])

  def preview(self, data: bytes, scale: int = 8) -> np.ndarray:
    """A smaller picture, in a small part of the time of the whole one.

    Args:
      data: of an .sclc file.
      scale: 8, 4 or 2; each side has 1/scale of the pixels, rounded up.

    Returns:
      uint8, of the channels that `decompress` gives.

    Raises:
      ValueError: as `decompress`, or the model has no preview.
    """
    check_preview(self.model, scale)
    file = bitstream.unpack(data)
    y_hat = self._decoder.symbols(file).y_hat
    return preview(self.model, self.transforms.params, y_hat, file, scale)

  def symbols(self, data: bytes) -> Symbols:
    """Everything that a file decides before the synthesis."""
    return self._decoder.symbols(bitstream.unpack(data))

  def metadata(self, data: bytes) -> dict[str, bytes]:
    """The `icc` profile, `exif` and `xmp` that a file keeps, if any."""
    return sections.decode_metadata(bitstream.unpack(data).sections)

  def info(self, data: bytes) -> dict:
    """What a file holds; decodes z, not y."""
    return self._decoder.info(data)

  def compress_many(
    self, images: Iterable[np.ndarray], quality: float | np.ndarray = 4.0
  ) -> list[bytes]:
    """`compress` for each image, several in flight.

    An accelerator transforms images of one size together, with sums in another
    order. A file may then differ from that of `compress`; it decodes as well.
    """
    pixels = (as_pixels(image, self.max_pixels) for image in images)
    images = [picture.prepared(image, self.max_pixels) for image in pixels]
    check_quality(quality, self.model.top_quality)

    def one(image: np.ndarray, y: np.ndarray | None) -> bytes:
      if y is None:
        return self.compress(image, quality)
      return self.encode(self.analyse(image, y=y), quality)

    return stacks.analyse(self.transforms, images, one)

  def decompress_many(self, files: Iterable[bytes]) -> list[np.ndarray]:
    """`decompress` for each file, several in flight.

    Where an accelerator synthesises pictures of one size together, they may
    differ by 1 of 255 from those of `decompress`.
    """
    files, alone = list(files), self.decompress
    return stacks.synthesise(self.transforms, files, self.symbols, alone)


def load_codec(
  path_or_name: str | None = None, fast: bool = False, **options
) -> Codec:
  """Opens a codec.

  Args:
    path_or_name: an .sclcm file, or a name of 'sclc models'; or the default.
    fast: see `Codec`.
    **options: those of `Codec`.
  """
  return Codec(find_model(path_or_name, fast), fast=fast, **options)
