"""Where a file's bits go: importance, masks and cost, position by position."""

from __future__ import annotations

import dataclasses

import numpy as np

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.entropy.range_coder import symbol_bits
from sclc_jax.codec.exact.control import IMPORTANCE_BITS
from sclc_jax.codec.latents.analysis import Analysis
from sclc_jax.codec.latents.latent_coder import coded_elements
from sclc_jax.codec.latents.quality import to_q
from sclc_jax.evaluation.peers import PEERS, Peer
from sclc_jax.metrics import psnr_db


def importance(analysis: Analysis) -> np.ndarray:
  """The importance map, float64 [h, w, M] in [0, 1]; ones without selection."""
  if analysis.importance is None:
    return np.ones(analysis.y.shape)
  return analysis.importance / 2.0**IMPORTANCE_BITS


def adjusted_importance(
  codec: Codec, analysis: Analysis, quality: float
) -> np.ndarray:
  """importance ** gamma at a quality, [h, w, M] in [0, 1] (SCR, Fig. 1b).

  gamma follows from the stored thresholds 0.5 ** (1 / gamma); elements above
  0.5 are those that are coded.
  """
  q = to_q(quality, codec.model.top_quality)
  threshold = codec.model.control.thresholds[q]
  threshold = threshold / 2.0**IMPORTANCE_BITS
  with np.errstate(divide="ignore", invalid="ignore"):
    gamma = np.log(0.5) / np.log(threshold)
  # A threshold of 0 or below keeps everything that has any importance.
  gamma = np.where(threshold > 0, gamma, 0.0)
  return importance(analysis) ** gamma


def levels(
  codec: Codec, analysis: Analysis
) -> list[tuple[str, np.ndarray, np.ndarray]]:
  """What each whole level selects: title, adjusted importance, mask."""
  return [
    (
      f"quality {level}",
      adjusted_importance(codec, analysis, level),
      codec.mask(analysis, level),
    )
    for level in range(1, codec.model.top_quality + 1)
  ]


@dataclasses.dataclass(frozen=True)
class Cost:
  """Bits of a file by position; in all its size, but for header and rounding.

  y: float64 [h, w], bits of the 16x16 pixels of each position; z: float64
  [h/4, w/4], of 64x64 pixels; channels: float64 [M], bits of each channel of y.
  """

  y: np.ndarray
  z: np.ndarray
  channels: np.ndarray


def cost(codec: Codec, data: bytes) -> Cost:
  """What every position of a file costs, from the tables that coded it."""
  symbols = codec.symbols(data)
  bits = np.zeros(symbols.mask.shape)
  coded = coded_elements(codec.model, symbols.mask)
  bits.flat[coded] = symbol_bits(codec.model.y_tables, symbols.y, symbols.index)
  channels = np.broadcast_to(
    np.arange(symbols.z.shape[2], dtype=np.int32), symbols.z.shape
  )
  z = symbol_bits(codec.model.z_tables, symbols.z.ravel(), channels.ravel())
  return Cost(bits.sum(2), z.reshape(symbols.z.shape).sum(2), bits.sum((0, 1)))


def peer_at_size(
  peer: Peer, image: np.ndarray, size: int
) -> tuple[int, np.ndarray]:
  """A peer's file of at most `size` bytes, as near as its settings allow.

  Args:
    peer: coded with settings 1 to 95 of Pillow's `quality`.
    image: uint8 [H, W, 3] or [H, W].
    size: bytes. Where even setting 1 is larger, that one is taken.

  Returns:
    Its size in bytes and the picture.
  """
  low, high = 1, 95
  while low < high:  # the largest setting that fits
    middle = (low + high + 1) // 2
    if len(peer.encode(image, middle)) <= size:
      low = middle
    else:
      high = middle - 1
  data = peer.encode(image, low)
  return len(data), peer.decode(data, image.ndim == 2)


def photo_curves(
  codec: Codec, analysis: Analysis, image: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """(bpp, PSNR in dB) of one photo: ours by level, then installed peers'."""

  def curve(files, decode):
    points = [
      (8 * len(data) / (image.shape[0] * image.shape[1]),
       psnr_db(image, decode(data)))
      for data in files
    ]  # fmt: skip
    return tuple(np.array(points).T)

  curves = {
    "sclc": curve(
      (
        codec.encode(analysis, level)
        for level in range(1, codec.model.top_quality + 1)
      ),
      codec.decompress,
    )
  }
  for peer in PEERS:
    if peer.installed():
      curves[peer.name] = curve(
        (peer.encode(image, setting) for setting in peer.settings),
        lambda data, peer=peer: peer.decode(data, image.ndim == 2),
      )
  return curves
