"""Two records: an analysed image, and the symbols that a file decodes to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from sclc_jax.codec.stream.bitstream import Header


@dataclasses.dataclass(frozen=True)
class Analysis:
  """What all qualities of one image share.

  y is float32 [h, w, M], z int32 [h/4, w/4, N]; side and importance are the
  int32 of the control path; `z_data` is z, coded; `sections` are alpha and
  metadata, coded; `image` is what was analysed, without alpha, which latent
  refinement looks at; `visible` is bool [H, W], or None where no pixel
  is hidden, or all are.
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
  visible: np.ndarray | None = None

  def without_latents(self) -> Analysis:
    """What the file still needs once its symbols have been chosen."""
    none = np.empty(0, np.float32)
    return dataclasses.replace(self, y=none, side=none, importance=None)


@dataclasses.dataclass(frozen=True)
class Symbols:
  """What a file decodes to, the same on every machine.

  q is the quality step, or int32 [h, w] where there is a quality map; z int32
  [h/4, w/4, N]; mask bool [h, w, M]; of the n selected elements, in coding
  order, the table index and the symbol y, int32 [n]; y_hat float32 [h, w, M],
  what the synthesis takes.
  """

  header: Header
  q: int | np.ndarray
  z: np.ndarray
  mask: np.ndarray
  index: np.ndarray
  y: np.ndarray
  y_hat: np.ndarray
