"""How large and how costly the parts of a model are."""

from __future__ import annotations

import dataclasses
import math

from sclc_jax.codec.model.codec_model import CodecModel, flatten

# Pixels a side for each position of the smaller grid of the layers 0, 1, ...;
# of other parts 16, those of y.
_STRIDES = {
  "analysis": (2, 4, 8, 16),
  "synthesis": (2, 4, 8, 16),
  "hyper_analysis": (16, 32, 64),
  "hyper_synthesis": (64, 32, 16),
}
_NAMES = {
  "analysis": "analysis",
  "synthesis": "synthesis",
  "hyper_analysis": "hyper analysis",
  "hyper_synthesis": "hyper synthesis",
  "context_model": "context model",
  "head": "importance head",
  "selector": "adjustment curves",
  "quantizer": "quantizer",
  "entropy_bottleneck": "entropy bottleneck",
  "density": "density of y",
}


@dataclasses.dataclass(frozen=True)
class Part:
  """A part of a model.

  Attributes:
    name: in words.
    parameters: how many it has.
    conv_kmac: thousands of multiply-accumulates of its convolutions, a pixel
      of the picture.
    gdn_kmac: those of its GDN layers.
  """

  name: str
  parameters: int
  conv_kmac: float
  gdn_kmac: float


def parts(model: CodecModel) -> list[Part]:
  """The parts of a model, by the shapes of its parameters.

  A kernel is used once at each position of the smaller grid: of the output
  where the layer reduces, of the input where it enlarges. Parts that are tables
  have no multiplications.
  """
  sums: dict[str, list[float]] = {}
  for path, value in flatten(model.params, "params").items():
    part, layer, leaf = _placed(path)
    total = sums.setdefault(part, [0, 0.0, 0.0])
    total[0] += value.size
    strides = _STRIDES.get(part)
    stride = strides[int(layer[-1])] if strides else 16
    kmac = math.prod(value.shape) / stride**2 / 1000
    if leaf in ("kernel", "kernel_slope", "masked"):
      total[1] += kmac
    elif leaf == "gamma" and "gdn" in layer:
      total[2] += kmac
  order = {name: i for i, name in enumerate(_NAMES)}
  return [
    Part(_NAMES.get(name, name), *sums[name])
    for name in sorted(sums, key=lambda name: order.get(name, len(order)))
  ]


def _placed(path: str) -> tuple[str, str, str]:
  """Part, layer and kind of a parameter, from its path.

  `params/base/analysis/conv_0/kernel` is (analysis, conv_0, kernel).
  """
  names = [name for name in path.split("/")[1:] if name != "base"]
  part = "head" if "head" in names else names[0]
  return part, names[-2], names[-1]
