"""The config of a model, and what it is trained for; model files keep both."""

from __future__ import annotations

import dataclasses
import math

from sclc_jax.config.rules import PARTS, RULES, Checked, check

LARGE_KERNEL = 2**16  # elements: those that a model's size comes from


@dataclasses.dataclass(frozen=True)
class ModelConfig(Checked):
  """The parts of a model, their widths, and how they start.

  Attributes:
    base: base model: `hyperprior`, `mean_scale` (also predicts means),
      `context` (also reads a causal context, decoded along wavefronts) or
      `checkerboard` (also reads a context, decoded in two passes).
    N: width of the transforms and of z.
    M: width of y.
    levels: number of quality levels L.
    adaptive: has the adaptive quantizer (tables QV and IQV).
    selective: has the selector (importance map, curves, mask).
    init: kernels of the transforms at the start: `xavier` (the paper's), or
      `wavelet`, a cascade of 2x2 Hadamard transforms plus small Xavier noise,
      which starts as a working linear transform codec.
    importance_bias: initial bias of the importance head, added to the 0.5 of
      the paper; 0.4 keeps nearly all elements at the first step.
    table_init: QV, IQV and gamma at the start: `ones` (the paper's), or
      `geometric`. Then QV and IQV grow by sqrt(2) with each level below the
      top, as high-rate theory says, and gamma by 2 ** (1/4). The importance
      head starts with a zero kernel, so `importance_bias` alone decides.
    curves: exponents gamma of the importance map, for each level: one for each
      `channel` (the paper's), one `shared` by all channels, or `none` (1).
    iqv: the table IQV, `separate` (the paper's) or `shared` with QV.
    unselected: what elements that are not coded decode to, in the bases that
      predict means: their `mean`, or `zero`.
    hyper_input: what the hyper analysis of these bases reads: y (`signed`,
      the paper's), or `both` y and its magnitude. With `both` it predicts
      scales as well as Hyperprior from the start. The format is the same.
    mask_threshold: inference codes an element if its probability of selection
      is above this; 0.5 is the paper's.
    rate_weight: RDOQ: the encoder rounds y to the lower error ** 2 +
      rate_weight * bits, errors in steps. 0 (the paper's) rounds to the
      nearest. It pays if a stage has trained the decoder with it
      (`rounding='coded'`).
    density: of y given its scale: `normal` (the paper's), or a `mixture` of
      normals of several scales, whose shape is learned.
    conditional: the last layer of the synthesis follows the quality: its kernel
      and bias are lines in the level. Not in the paper. Levels differ in what
      rounding loses, and one kernel for all is a compromise.
    fast: has a second, shallow synthesis, which shows what the first one does
      in an eighth of the time. The stage `fast` builds it; no file depends on
      it, so a frozen model has it beside (`codec.model.fast_file`).
  """

  base: str = "hyperprior"
  N: int = 192
  M: int = 320
  levels: int = 8
  adaptive: bool = True
  selective: bool = True
  init: str = "xavier"
  importance_bias: float = 0.0
  table_init: str = "ones"
  curves: str = "channel"
  iqv: str = "separate"
  unselected: str = "mean"
  hyper_input: str = "signed"
  density: str = "normal"
  mask_threshold: float = 0.5
  rate_weight: float = 0.0
  conditional: bool = False
  fast: bool = False

  section = "model."

  def __post_init__(self):
    super().__post_init__()
    check(
      self.predicts_mean or self.hyper_input == "signed",
      "model.hyper_input",
      self.hyper_input,
      "left at 'signed' for model.base 'hyperprior', which reads |y|",
    )

  @property
  def predicts_mean(self) -> bool:
    """Whether y has a predicted mean; else it is zero."""
    return self.base != "hyperprior"

  @property
  def has_context(self) -> bool:
    """Whether mean and scale depend on y_hat of other positions."""
    return self.base in ("context", "checkerboard")

  @property
  def parts(self) -> set[str]:
    """Names of the parts that are built, of `PARTS`."""
    absent = {
      "context_model": not self.has_context,
      "density": self.density == "normal",
      "quantizer": not self.adaptive,
      "qv": not self.adaptive,
      "iqv": not self.adaptive or self.iqv == "shared",
      "selector": not self.selective,
      "fast_synthesis": not self.fast,
    }
    return {name for name in PARTS if not absent.get(name)}

  @property
  def is_single_rate(self) -> bool:
    """Whether all qualities give the same file."""
    return not (self.adaptive or self.selective)

  def describe_parts(self) -> list[str]:
    """What the model has, in words."""
    optional = {
      "context model": self.has_context,
      "quantizer": self.adaptive,
      "selector": self.selective,
      "conditional synthesis": self.conditional,
    }
    names = [name for name, is_there in optional.items() if is_there]
    return ["transforms", f"base {self.base}", *names]

  def describe_rates(self) -> str:
    """Which qualities differ, in words."""
    if self.is_single_rate:
      return f"one rate, that of quality {self.levels}"
    return f"qualities 1 to {self.levels}"


@dataclasses.dataclass(frozen=True)
class Objective:
  """What a model minimises at each level: lmbda * distortion + bpp.

  Attributes:
    distortion: `mse` on the 0..255 scale, or `ms_ssim`: 1 - MS-SSIM.
    lmbda_first: Lagrange weight of level 1.
    lmbda_last: Lagrange weight of the top level; geometric in between.
  """

  distortion: str
  lmbda_first: float
  lmbda_last: float

  def __post_init__(self):
    rule = RULES["train.distortion"]
    check(
      rule.holds(self.distortion), "train.distortion", self.distortion,
      rule.text,
    )  # fmt: skip
    key = "ms_ssim_lmbda" if self.distortion == "ms_ssim" else "lmbda"
    low, high = self.lmbda_first, self.lmbda_last
    check(low > 0, f"train.{key}_first", low, "positive")
    check(
      low < high < math.inf,
      f"train.{key}_last",
      high,
      f"above {key}_first ({low})",
    )
