"""From a file to y_hat; checks the header before it allocates memory."""

from __future__ import annotations

import numpy as np

from sclc_jax.codec.exact.control import Q_PER_LEVEL
from sclc_jax.codec.latents import hyper_latent, quality_map
from sclc_jax.codec.latents.analysis import Symbols
from sclc_jax.codec.latents.latent_coder import LatentCoder
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.stream import bitstream


class Decoder:
  """Reads what a file decides; safe to share by threads.

  Args:
    model: a frozen model.
    engine: a range coder of `range_coder.get_engine`.
    latents: the model's coder of y.
    max_pixels: files that declare more are refused before any allocation.
  """

  def __init__(
    self, model: CodecModel, engine, latents: LatentCoder, max_pixels: int
  ):
    self._model = model
    self._engine = engine
    self._latents = latents
    self._max_pixels = max_pixels

  def control(
    self, file: bitstream.File
  ) -> tuple[int | np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What precedes y: (q, z, side, mask), as in `Symbols` and `Analysis`.

    Raises:
      ValueError: the file is damaged, too large, or of another model.
    """
    self._check(file)
    z = hyper_latent.decode(
      self._model, self._engine, file.z, file.height, file.width
    )
    q: int | np.ndarray = file.q
    if bitstream.QUALITY_MAP in file.sections:
      part = file.sections[bitstream.QUALITY_MAP]
      q = quality_map.decode(
        part, file.height, file.width, file.q, self._engine
      ).q()
    side, importance = self._model.control.prior(z)
    shape = (*side.shape[:2], self._model.config.M)
    return q, z, side, self._model.control.mask(importance, q, shape)

  def symbols(self, file: bitstream.File) -> Symbols:
    """Everything that a file decides before the synthesis; raises likewise."""
    q, z, side, mask = self.control(file)
    index, y, y_hat = self._latents.decode(file.y, side, mask, q)
    if bitstream.symbols_check(z, y) != file.symbols_check:
      raise ValueError(
        "the file is whole, but its symbols do not decode to what was "
        "written; please report this machine and its library versions "
        "('sclc --version')."
      )
    return Symbols(file, q, z, mask, index, y, y_hat)

  def info(self, data: bytes) -> dict:
    """What a file holds; decodes z, not y, and reads other models' headers."""
    file = bitstream.unpack(data)
    info = bitstream.describe(data)
    if file.fingerprint == self._model.fingerprint:
      info["base"] = self._model.config.base
      info["selected_fraction"] = float(self.control(file)[3].mean())
      info["rates"] = self._model.rates
    return info

  def _check(self, header: bitstream.Header) -> None:
    if header.fingerprint != self._model.fingerprint:
      raise ValueError(
        f"the file was made with model {header.fingerprint.hex()}, this is "
        f"{self._model.fingerprint.hex()}; give that model with --model."
      )
    if header.height * header.width > self._max_pixels:
      raise ValueError(
        f"the file declares {header.width}x{header.height} pixels, more than "
        f"the limit of {self._max_pixels}; raise --max-pixels if you trust it."
      )
    if header.q > Q_PER_LEVEL * (self._model.top_quality - 1):
      raise bitstream.DamagedFileError(
        f"the file declares quality {header.quality}; it is damaged."
      )
