"""From y and z to a file: the control path, the symbols, their bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from sclc_jax.codec.latents import hyper_latent, quality_map
from sclc_jax.codec.latents.analysis import Analysis
from sclc_jax.codec.latents.latent_coder import LatentCoder
from sclc_jax.codec.latents.quality import Quality, read_quality
from sclc_jax.codec.latents.refinement import Refinement
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.pixels.picture import without_alpha
from sclc_jax.codec.stream import bitstream, sections


@dataclasses.dataclass(frozen=True)
class Choice:
  """What is coded of y at a quality.

  Attributes:
    quality: of the file.
    index: int32 [n], table index of the selected elements, in coding order.
    symbols: int32 [n], their symbols.
  """

  quality: Quality
  index: np.ndarray
  symbols: np.ndarray


class Encoder:
  """Decides what a file holds; safe to share by threads.

  Args:
    model: a frozen model.
    engine: a range coder of `range_coder.get_engine`.
    latents: its coder of y.
    refinement: of what the coder rounds to, if any.
  """

  def __init__(
    self,
    model: CodecModel,
    engine,
    latents: LatentCoder,
    refinement: Refinement | None,
  ):
    self._model = model
    self._engine = engine
    self._latents = latents
    self._refinement = refinement

  def analysis(
    self,
    image: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    metadata: Mapping[str, bytes],
  ) -> Analysis:
    """All that follows from y and z, and the sections of the image.

    Args:
      image: as of `picture.prepared`.
      y: float32 [h, w, M].
      z: int32 [h/4, w/4, N].
      metadata: see `Codec.compress`.
    """
    extra = sections.encode_metadata(metadata)
    pixels = without_alpha(image)
    visible = None
    if pixels is not image:
      extra[bitstream.ALPHA] = sections.encode_alpha(image[..., -1])
      seen = image[..., -1] > 0
      visible = seen if 0 < seen.mean() < 1 else None
    z_data = hyper_latent.encode(self._model, self._engine, z)
    side, importance = self._model.control.prior(z)
    return Analysis(
      *image.shape[:2],
      bitstream.GRAY if pixels.ndim == 2 else bitstream.RGB,
      y, z, z_data, side, importance, extra, pixels, visible,
    )  # fmt: skip

  def quality(
    self, analysis: Analysis, quality: float | np.ndarray
  ) -> Quality:
    """The quality of a file."""
    return read_quality(
      quality, self._model.top_quality, analysis.height, analysis.width
    )

  def quality_and_mask(
    self, analysis: Analysis, quality: float | np.ndarray
  ) -> tuple[Quality, np.ndarray]:
    """The quality of a file, and the elements that it codes, bool [h, w, M]."""
    steps = self.quality(analysis, quality)
    control = self._model.control
    return steps, control.mask(analysis.importance, steps.q, analysis.y.shape)

  def choose(
    self, analysis: Analysis, quality: float | np.ndarray, refine: bool = True
  ) -> Choice:
    """What is to be coded of y; without `refine` as the analysis gave it."""
    steps, mask = self.quality_and_mask(analysis, quality)
    if refine and self._refinement:
      index, symbols, _ = self._refinement(analysis, mask, steps.q)
    else:
      index, symbols = self._latents.choose(
        analysis.y, analysis.side, mask, steps.q
      )
    return Choice(steps, index, symbols)

  def y_hat(
    self, analysis: Analysis, quality: float | np.ndarray
  ) -> np.ndarray:
    """What a file of this quality decodes to, float32 [h, w, M]."""
    steps, mask = self.quality_and_mask(analysis, quality)
    if self._refinement:
      return self._refinement(analysis, mask, steps.q)[2]
    return self._latents.quantise(analysis.y, analysis.side, mask, steps.q)[2]

  def file(self, analysis: Analysis, choice: Choice) -> bitstream.File:
    """Codes what was chosen."""
    extra = dict(analysis.sections)
    if choice.quality.map is not None:
      extra[bitstream.QUALITY_MAP] = quality_map.encode(
        choice.quality.map, self._engine
      )
    y_data = self._engine.encode(
      self._model.y_tables, choice.symbols, choice.index
    )
    return bitstream.File(
      self._model.fingerprint,
      analysis.colour,
      choice.quality.high,
      analysis.height,
      analysis.width,
      bitstream.symbols_check(analysis.z, choice.symbols),
      analysis.z_data,
      y_data,
      extra,
    )
