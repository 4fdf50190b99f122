"""z to bytes and back: every element, each channel with its own table."""

from __future__ import annotations

import numpy as np

from sclc_jax.codec.exact.control import STRIDE, Z_MAX
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.stream.bitstream import DamagedFileError


def encode(model: CodecModel, engine, z: np.ndarray) -> bytes:
  """Codes z, int32 [h/4, w/4, N] in [-Z_MAX, Z_MAX].

  Args:
    model: a frozen model.
    engine: a range coder of `range_coder.get_engine`.
    z: to code.
  """
  return engine.encode(model.z_tables, z.ravel(), _indexes(z.shape))


def decode(
  model: CodecModel, engine, data: bytes, height: int, width: int
) -> np.ndarray:
  """z of an image of so many pixels, int32 [h/4, w/4, N].

  Raises:
    ValueError: no encoder writes this.
  """
  shape = -(-height // STRIDE), -(-width // STRIDE), model.config.N
  z = engine.decode(model.z_tables, data, _indexes(shape)).reshape(shape)
  if z.min() < -Z_MAX or z.max() > Z_MAX:  # |-2**31| is not an int32
    raise DamagedFileError(
      "the file's hyper latent is out of range; it is damaged."
    )
  return z


def _indexes(shape: tuple[int, ...]) -> np.ndarray:
  channels = np.arange(shape[2], dtype=np.int32)
  return np.tile(channels, shape[0] * shape[1])
