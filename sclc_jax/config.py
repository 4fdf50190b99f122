"""What can be configured, as frozen, validated dataclasses.

`experiments/*.py` return an ml_collections ConfigDict, which is open to
overrides from the command line; `from_config_dict` turns it into
`ExperimentConfig` once. Everything inside the package sees only dataclasses.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

STAGES = ("base", "quantization", "selective", "decoder")
LARGE_KERNEL = 2**16  # elements: those that a model's size comes from


def _check(ok: bool, key: str, value: Any, rule: str) -> None:
  if not ok:
    raise ValueError(f"config.{key} must be {rule}, got {value!r}.")


BASES = ("hyperprior", "mean_scale", "context", "checkerboard")
_CHOICES = {
  "base": BASES,
  "init": ("xavier", "wavelet"),
  "table_init": ("ones", "geometric"),
  "curves": ("channel", "shared", "none"),
  "iqv": ("separate", "shared"),
  "unselected": ("mean", "zero"),
  "hyper_input": ("signed", "both"),
  "density": ("normal", "mixture"),
}
_MS_SSIM_MIN_CROP = 192  # the next multiple of 64 above its 161 pixels


@dataclasses.dataclass(frozen=True)
class ModelConfig:
  """What is built.

  Attributes:
    base: base model: `hyperprior`, `mean_scale` (predicted means), `context`
      (and a causal context, decoded along wavefronts) or `checkerboard` (and
      a context in two passes).
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
      `geometric`: steps follow high-rate theory, a factor of sqrt(2) a level
      below the top, and gamma a factor of 2 ** (1/4); the importance head
      starts with a zero kernel, so that `importance_bias` says all.
    curves: exponents gamma of the importance map: one a level and `channel`
      (the paper's), one a level `shared` by all channels, or `none` (1).
    iqv: inverse steps, `separate` (the paper's) or `shared` with QV.
    unselected: what elements that are not coded decode to, in the bases that
      predict means: their `mean`, or `zero`.
    hyper_input: what the hyper analysis of these bases reads: y (`signed`,
      the paper's), or `both` y and its magnitude, which starts as good an
      estimator of scales as that of Hyperprior. The format is the same.
    mask_threshold: the probability of selection from which on inference codes
      an element; 0.5 is the paper's.
    rate_weight: squared steps that a bit is worth to the encoder where it
      rounds y; 0 (the paper's) rounds to the nearest. It pays where a stage has
      fitted the decoder to it.
    density: of y given its scale: `normal` (the paper's), or a `mixture` of
      normals of several scales, whose shape is learned.
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

  def __post_init__(self):
    _check(self.N >= 1, "model.N", self.N, "at least 1")
    _check(self.M >= 1, "model.M", self.M, "at least 1")
    _check(self.levels >= 2, "model.levels", self.levels, "at least 2")
    for key, choices in _CHOICES.items():
      value = getattr(self, key)
      _check(
        value in choices,
        f"model.{key}",
        value,
        " or ".join(map(repr, choices)),
      )
    _check(
      0 < self.mask_threshold < 1,
      "model.mask_threshold",
      self.mask_threshold,
      "between 0 and 1",
    )
    _check(
      0 <= self.rate_weight < 1,
      "model.rate_weight",
      self.rate_weight,
      "in [0, 1)",
    )
    if self.base == "hyperprior":
      _check(
        self.hyper_input == "signed",
        "model.hyper_input",
        self.hyper_input,
        "left at 'signed' for model.base 'hyperprior', which reads |y|",
      )


@dataclasses.dataclass(frozen=True)
class StageConfig:
  """One training stage.

  Attributes:
    steps: how long it takes.
    lr: highest learning rate; 0 takes `optim.lr`.
    rounding: what stands for rounding. `noise`: uniform noise (the paper's).
      `mixed`: noise for the rate, while hyper_synthesis and synthesis see
      rounded latents, with straight-through gradients (arXiv 2007.08739,
      section 3.2). `decoder`: latents rounded as by the encoder throughout,
      which leaves encoder and QV without a gradient: what the decoder knows
      alone is fitted to what it will see.
    mask: `drawn`: elements are kept with their probability, which is what the
      selector learns from (paper, section 3.1). `inference`: the mask that
      will be coded; the selector stays as it is.
    error: what the squared error is measured on. `pixels` (the paper's).
      `latents`: y_hat, each channel weighted by what its errors do to the
      picture (`train.latent_error`). Analysis and synthesis stay as they are,
      and all else trains several times as fast.
  """

  steps: int = 0
  lr: float = 0.0
  rounding: str = "noise"
  mask: str = "drawn"
  error: str = "pixels"

  def __post_init__(self):
    _check(self.steps >= 0, "stages.*.steps", self.steps, "at least 0")
    _check(self.lr >= 0, "stages.*.lr", self.lr, "at least 0")
    _check(
      self.rounding in ("noise", "mixed", "decoder"),
      "stages.*.rounding",
      self.rounding,
      "'noise' or 'mixed' or 'decoder'",
    )
    _check(
      self.mask in ("drawn", "inference"),
      "stages.*.mask",
      self.mask,
      "'drawn' or 'inference'",
    )
    _check(
      self.error in ("pixels", "latents"),
      "stages.*.error",
      self.error,
      "'pixels' or 'latents'",
    )


@dataclasses.dataclass(frozen=True)
class StagesConfig:
  """The stages in their order: the paper's (section 3.3), and one of ours.

  The last, of no steps unless a config asks for it, fits the decoder to what
  it will see.
  """

  base: StageConfig = StageConfig()
  quantization: StageConfig = StageConfig()
  selective: StageConfig = StageConfig()
  decoder: StageConfig = StageConfig(rounding="decoder", mask="inference")


@dataclasses.dataclass(frozen=True)
class OptimConfig:
  """The optimiser, with linear warm-up and cosine decay within each stage.

  Attributes:
    method: `adam`, or `soap` for kernels and Adam for the rest. On a CPU it
      makes a step some 10 % longer; on an accelerator see `soap_every`.
    lr: peak learning rate; `stages.*.lr` replaces it in one stage.
    warmup_steps: of each stage.
    final_lr_fraction: of lr, where a stage ends.
    clip_norm: largest norm of the whole gradient; 0 does not clip.
    soap_every: updates from one renewal of SOAP's bases to the next. On an
      accelerator, where a renewal takes as long as several steps, 100.
    added_lr_factor: lr of quantizer, selector and density, relative to lr.
    ema_decay: of the parameters' average, which is what export takes; 0 for
      the parameters themselves.
    fix_large_kernels: kernels of 2**16 elements and more stay as `init_from`
      has them. At the paper's widths 0.3 of 12 million parameters are left to
      train, and `sclc export --parent` stores these alone.
  """

  method: str = "adam"
  lr: float = 5e-5
  warmup_steps: int = 0
  final_lr_fraction: float = 0.1
  clip_norm: float = 0.0
  soap_every: int = 20
  added_lr_factor: float = 1.0
  ema_decay: float = 0.0
  fix_large_kernels: bool = False

  def __post_init__(self):
    _check(
      self.method in ("adam", "soap"),
      "optim.method",
      self.method,
      "'adam' or 'soap'",
    )
    _check(self.lr > 0, "optim.lr", self.lr, "positive")
    _check(
      self.soap_every >= 1, "optim.soap_every", self.soap_every, "positive"
    )
    _check(
      0 <= self.ema_decay < 1, "optim.ema_decay", self.ema_decay, "in [0, 1)"
    )


@dataclasses.dataclass(frozen=True)
class Objective:
  """What a model minimises at each level: lmbda * distortion + bpp.

  Attributes:
    distortion: `mse` on the 0..255 scale, or `ms_ssim`: 1 - MS-SSIM.
    lmbda_first: Lagrange weight of level 1.
    lmbda_last: that of the top level; geometric in between.
  """

  distortion: str
  lmbda_first: float
  lmbda_last: float

  def __post_init__(self):
    _check(
      self.distortion in ("mse", "ms_ssim"),
      "train.distortion",
      self.distortion,
      "'mse' or 'ms_ssim'",
    )
    key = "ms_ssim_lmbda" if self.distortion == "ms_ssim" else "lmbda"
    low, high = self.lmbda_first, self.lmbda_last
    _check(low > 0, f"train.{key}_first", low, "positive")
    _check(
      low < high < math.inf,
      f"train.{key}_last",
      high,
      f"above {key}_first ({low})",
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """The loss and the rhythm of logs and checkpoints.

  Attributes:
    distortion: `mse` (on the 0..255 scale), or `ms_ssim` (1 - MS-SSIM).
    lmbda_first: Lagrange weight of level 1 for `mse`.
    lmbda_last: that of the top level; geometric in between. The paper's double
      with each of its eight levels, as these do.
    level_balance: each level's loss counts lmbda ** -level_balance times, in
      the mean once. At 0 (the paper's) the top level outweighs the others; a
      model's rate grows by about lmbda ** 0.45, so that at 0.45 a percent of it
      counts alike at all levels, as BD-rate counts.
    ms_ssim_lmbda_first: Lagrange weight of level 1 for `ms_ssim`.
    ms_ssim_lmbda_last: that of the top level. The authors' are not published;
      these are the commonly used ones.
    levels_per_image: 0 for all levels in every step (the paper), else how many
      are drawn.
    accumulate: parts that each device's batch is worked off in; less memory,
      the same gradient.
    steps_per_dispatch: steps that the devices run in one call. Calls end at its
      multiples, so the intervals have to be multiples of it.
    validate_every: steps from one validation to the next, by real rate on
      `data.validation`, and at the end of each stage; 0 for none.
  """

  distortion: str = "mse"
  precision: str = "float32"
  levels_per_image: int = 0
  lmbda_first: float = 0.0015625
  lmbda_last: float = 0.2
  level_balance: float = 0.0
  ms_ssim_lmbda_first: float = 2.40
  ms_ssim_lmbda_last: float = 220.0
  log_every: int = 50
  checkpoint_every: int = 500
  accumulate: int = 1
  steps_per_dispatch: int = 1
  validate_every: int = 0

  @property
  def objective(self) -> Objective:
    """Distortion and Lagrange weights of the training."""
    return self._objective(self.distortion)

  def _objective(self, distortion: str) -> Objective:
    first, last = self.lmbda_first, self.lmbda_last
    if distortion == "ms_ssim":
      first, last = self.ms_ssim_lmbda_first, self.ms_ssim_lmbda_last
    return Objective(distortion, first, last)

  def __post_init__(self):
    _check(
      self.accumulate >= 1, "train.accumulate", self.accumulate, "positive"
    )
    for distortion in (self.distortion, "mse", "ms_ssim"):
      self._objective(distortion)
    _check(
      self.precision in ("float32", "bfloat16"),
      "train.precision",
      self.precision,
      "'float32' or 'bfloat16'",
    )
    _check(
      self.levels_per_image >= 0,
      "train.levels_per_image",
      self.levels_per_image,
      "at least 0",
    )
    _check(self.log_every >= 1, "train.log_every", self.log_every, "positive")
    _check(
      self.checkpoint_every >= 1,
      "train.checkpoint_every",
      self.checkpoint_every,
      "positive",
    )
    _check(
      0 <= self.level_balance <= 1,
      "train.level_balance",
      self.level_balance,
      "in [0, 1]",
    )
    dispatch = self.steps_per_dispatch
    _check(dispatch >= 1, "train.steps_per_dispatch", dispatch, "positive")
    _check(
      self.validate_every >= 0,
      "train.validate_every",
      self.validate_every,
      "at least 0",
    )
    for key in ("log_every", "checkpoint_every", "validate_every"):
      _check(
        getattr(self, key) % dispatch == 0,
        f"train.{key}",
        getattr(self, key),
        f"a multiple of train.steps_per_dispatch ({dispatch})",
      )


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """Training images.

  Attributes:
    source: `folder:PATH`, or `tfds:SET[#SPLIT][@DATA_DIR]` of a prepared
      array_record set (NAME, NAME/CONFIG, NAME:VERSION or a builder's folder).
    batch_size: of all devices of all hosts together.
    crop_size: side of the crops, pixels.
    max_downscale: largest factor of the random downscaling before a crop.
    cache_mib: decoded images that a process holds in memory, in all; those
      beyond it are decoded at each use.
    device_resident: the decoded set lies in the memory of each device, and the
      crops are cut there; the examples are the same, but for rounding.
    validation: `folder:PATH` of the images of `train.validate_every`.
  """

  source: str = ""
  batch_size: int = 8
  crop_size: int = 256
  max_downscale: float = 2.0
  cache_mib: int = 8192
  device_resident: bool = False
  validation: str = ""

  def __post_init__(self):
    _check(self.batch_size >= 1, "data.batch_size", self.batch_size, "positive")
    _check(
      self.crop_size >= 64 and self.crop_size % 64 == 0,
      "data.crop_size",
      self.crop_size,
      "a positive multiple of 64",
    )
    _check(self.cache_mib >= 0, "data.cache_mib", self.cache_mib, "at least 0")
    _check(
      self.max_downscale >= 1,
      "data.max_downscale",
      self.max_downscale,
      "at least 1",
    )


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
  """Everything that decides a training run.

  Attributes:
    seed: of parameters, crops and noise.
    init_from: workdir, model file or shipped model that the parameters come
      from; what it has not starts anew. One of base `hyperprior` may be
      narrower: it goes on inside (`train.transfer`).
    init_parts: what is taken from it: `all`, all but the selector
      (`quantized`), the `base` model without quantizer and selector, or its
      `transforms` alone (analysis and synthesis), which all base models share.
    init_revive: the channels of y that are dead there start again, as a
      transform of what the model cannot show (`train.revive`).
    model: what is built.
    stages: how long each stage takes.
    optim: the optimiser.
    train: loss and rhythm.
    data: images.
  """

  seed: int = 0
  init_from: str = ""
  init_parts: str = "all"
  init_revive: bool = False
  model: ModelConfig = ModelConfig()
  stages: StagesConfig = StagesConfig()
  optim: OptimConfig = OptimConfig()
  train: TrainConfig = TrainConfig()
  data: DataConfig = DataConfig()

  def __post_init__(self):
    total = sum(getattr(self.stages, name).steps for name in STAGES)
    _check(total >= 1, "stages.*.steps (sum)", total, "at least 1")
    _check(
      self.init_parts in ("all", "quantized", "base", "transforms"),
      "init_parts",
      self.init_parts,
      "'all', 'quantized', 'base' or 'transforms'",
    )
    _check(
      bool(self.init_from) or self.init_parts == "all",
      "init_parts",
      self.init_parts,
      "'all' where init_from is not set",
    )
    _check(
      bool(self.init_from) or not self.init_revive,
      "init_revive",
      self.init_revive,
      "false where init_from is not set",
    )
    _check(
      bool(self.init_from) or not self.optim.fix_large_kernels,
      "optim.fix_large_kernels",
      self.optim.fix_large_kernels,
      "false where init_from is not set",
    )
    if self.train.distortion == "ms_ssim":
      for name in STAGES:
        _check(
          getattr(self.stages, name).error == "pixels",
          f"stages.{name}.error",
          getattr(self.stages, name).error,
          "'pixels' for train.distortion 'ms_ssim'",
        )
      _check(
        not self.init_revive,
        "init_revive",
        self.init_revive,
        "false for train.distortion 'ms_ssim': its steps are set by MSE",
      )
      _check(
        self.data.crop_size >= _MS_SSIM_MIN_CROP,
        "data.crop_size",
        self.data.crop_size,
        f"at least {_MS_SSIM_MIN_CROP} for train.distortion 'ms_ssim', whose "
        "five scales of an 11-pixel window need 161 pixels",
      )
    if self.train.validate_every:
      kind, _, path = self.data.validation.partition(":")
      _check(
        kind == "folder" and bool(path),
        "data.validation",
        self.data.validation,
        "folder:PATH where train.validate_every is set",
      )


def default_config_dict():
  """The defaults as a locked ConfigDict; experiments replace some of them."""
  import ml_collections

  return ml_collections.ConfigDict(
    dataclasses.asdict(
      ExperimentConfig(stages=StagesConfig(base=StageConfig(steps=1)))
    )
  ).lock()


def from_dict(values: dict[str, Any], cls: type = ExperimentConfig):
  """Builds `cls` from nested dicts; an unknown key is a ValueError."""
  hints = typing.get_type_hints(cls)
  unknown = sorted(set(values) - set(hints))
  if unknown:
    raise ValueError(
      f"unknown config key {unknown[0]!r}; {cls.__name__} has "
      f"{', '.join(sorted(hints))}."
    )
  kwargs = {}
  for name, value in values.items():
    if dataclasses.is_dataclass(hints[name]):
      value = from_dict(dict(value), hints[name])
    elif hints[name] is float and isinstance(value, int):
      value = float(value)
    if not dataclasses.is_dataclass(hints[name]) and not isinstance(
      value, hints[name]
    ):
      raise ValueError(
        f"config key {name!r} takes a {hints[name].__name__}, got {value!r}."
      )
    kwargs[name] = value
  return cls(**kwargs)


def from_config_dict(config) -> ExperimentConfig:
  """Freezes an experiment's ConfigDict."""
  return from_dict(config.to_dict())


def stage_model(config: ExperimentConfig, stage: str) -> ModelConfig:
  """The model that a stage trains.

  A stage of 0 steps leaves the parts it adds unbuilt, there and in later ones;
  `model.selective = False` builds no selector whatever the steps.
  """
  reached = STAGES[: STAGES.index(stage) + 1]

  def built(part: str) -> bool:
    return part in reached and getattr(config.stages, part).steps > 0

  return dataclasses.replace(
    config.model,
    adaptive=config.model.adaptive and built("quantization"),
    selective=config.model.selective and built("selective"),
  )
