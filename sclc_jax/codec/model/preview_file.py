"""What makes previews, in a file beside that of its model.

NAME.preview.npz goes with NAME.sclcm. It is no part of the model: files decode
without it, and the fingerprint does not cover it. It says which model it is of.
"""

from __future__ import annotations

import dataclasses
import io
import os
import struct
import zipfile
import zlib

import numpy as np

from sclc_jax.buckets import Path, to_path
from sclc_jax.files import write_whole

COLUMNS = 48  # 4x4 RGB pixels
# RuntimeError: a damaged byte asks for a password or another method.
_DAMAGE = (
  KeyError, OSError, ValueError, EOFError, RuntimeError, struct.error,
  zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Preview:
  """What `codec.pixels.preview` needs of a model beside its synthesis.

  Attributes:
    channels: of the synthesis' first layer that are read, integers [n], rising.
    map: from 3x3 positions of them, and a 1, to pixels: float32 [9 n + 1, 48].
  """

  channels: np.ndarray
  map: np.ndarray


def preview_path(model: str | os.PathLike) -> Path:
  """Where the preview of a model's file lies, if it has one."""
  return to_path(model).with_suffix(".preview.npz")


def write_preview(
  model: str | os.PathLike, fingerprint: bytes, preview: Preview
) -> None:
  """Writes it, whole or not at all.

  Args:
    model: file of the model.
    fingerprint: of the model.
    preview: of the model; its map is rounded to 16 bits.
  """
  buffer = io.BytesIO()
  np.savez_compressed(
    buffer,
    fingerprint=np.frombuffer(fingerprint, np.uint8),
    channels=preview.channels.astype(np.uint16),
    map=preview.map.astype(np.float16),
  )
  write_whole(preview_path(model), buffer.getvalue())


def has_preview(model: str | os.PathLike, fingerprint: bytes) -> bool:
  """Whether a model's file has a preview of its own beside it."""
  try:
    (kept,) = _arrays(model, "fingerprint")
    return kept.tobytes() == fingerprint
  except _DAMAGE:
    return False


def _arrays(model: str | os.PathLike, *names: str) -> list[np.ndarray]:
  """Arrays of its file; raises one of `_DAMAGE`."""
  with zipfile.ZipFile(preview_path(model)) as archive:
    # Each whole: its checksum is right before NumPy parses it.
    files = [archive.read(f"{name}.npy") for name in names]
  return [np.load(io.BytesIO(file)) for file in files]


def read_preview(
  model: str | os.PathLike, fingerprint: bytes, width: int
) -> Preview | None:
  """That of a model; None where it has none of its own.

  Args:
    model: file of the model.
    fingerprint: of the model.
    width: N, the channels that there are.

  Raises:
    ValueError: its file is damaged.
  """
  path = preview_path(model)
  if not path.is_file():
    return None
  try:
    (kept,) = _arrays(model, "fingerprint")
    if kept.tobytes() != fingerprint:
      return None  # left there by an earlier model of this name
    channels, pixels = _arrays(model, "channels", "map")
    channels, pixels = channels.astype(np.int32), pixels.astype(np.float32)
    rises = np.diff(channels, prepend=-1, append=width) > 0
    if channels.ndim != 1 or not rises.all():
      raise KeyError("channels")
    shape = 9 * channels.size + 1, COLUMNS
    if pixels.shape != shape or not np.isfinite(pixels).all():
      raise KeyError("map")
  except _DAMAGE as error:
    raise ValueError(
      f"{path} is not a whole preview ({type(error).__name__}); make it anew "
      "with 'sclc export --fit-preview', or remove it."
    ) from None
  return Preview(channels, pixels)
