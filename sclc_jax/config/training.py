"""How a model is trained: stages, optimiser, loss, data, experiment."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from sclc_jax.config.model import ModelConfig, Objective
from sclc_jax.config.rules import (
  DECODER_PARTS,
  INIT_PARTS,
  PARTS,
  Checked,
  check,
)

STAGES = ("base", "quantization", "selective", "decoder", "fast")
_MS_SSIM_MIN_CROP = 192  # the next multiple of 64 above its 161 pixels


@dataclasses.dataclass(frozen=True)
class StageConfig(Checked):
  """One training stage.

  Attributes:
    steps: number of steps.
    lr: highest learning rate; 0 takes `optim.lr`.
    parts: what trains; the other parts are frozen. `all`, or names with commas
      between: analysis, synthesis, hyper_analysis, hyper_synthesis,
      entropy_bottleneck (the density of z), context_model, density (of y),
      quantizer (or qv or iqv alone), selector, fast_synthesis. The word `small`
      freezes all kernels of 2**16 elements and more, in the named parts, or in
      all parts if none is named. At the paper's widths 0.3 of 12 million
      parameters are small, and `sclc export --parent` stores only these.
    rounding: how training rounds latents. `noise` adds uniform noise instead
      (the paper's). `mixed`: noise for the rate, while hyper_synthesis and
      synthesis see rounded latents (arXiv 2007.08739, section 3.2). `coded`:
      all latents are rounded as the encoder does it. Gradients pass straight
      through rounding.
    mask: `drawn`: each element is kept with its probability, so that the
      selector learns (paper, section 3.1). `inference`: the mask that will be
      coded; it has no gradient, and the selector does not learn.
  """

  steps: int = 0
  lr: float = 0.0
  parts: str = "all"
  rounding: str = "noise"
  mask: str = "drawn"

  section = "stages.*."

  @property
  def small_only(self) -> bool:
    """Whether large kernels are frozen."""
    return "small" in self.parts.split(",")

  @property
  def part_names(self) -> set[str]:
    """The parts that train, of `PARTS`, as far as they are built."""
    names = set(self.parts.split(",")) - {"all", "small"}
    return names or set(PARTS)


@dataclasses.dataclass(frozen=True)
class StagesConfig:
  """The stages in their order: the paper's (section 3.3), and two of ours.

  `decoder` trains the parts of the decoder on latents and masks as they will be
  coded, `fast` a second synthesis on the same. These two have no steps unless a
  config sets them.
  """

  base: StageConfig = StageConfig()
  quantization: StageConfig = StageConfig()
  selective: StageConfig = StageConfig()
  decoder: StageConfig = StageConfig(
    parts=DECODER_PARTS, rounding="coded", mask="inference"
  )
  fast: StageConfig = StageConfig(
    parts="fast_synthesis", rounding="coded", mask="inference"
  )


@dataclasses.dataclass(frozen=True)
class OptimConfig(Checked):
  """The optimiser, with linear warm-up and cosine decay within each stage.

  Attributes:
    method: `adam`, or `soap` (for kernels; Adam for all else). SOAP makes a
      step some 10 % longer on a CPU; for accelerators see `soap_every`.
    lr: peak learning rate; `stages.*.lr` replaces it in one stage.
    warmup_steps: steps at the start of each stage in which lr rises to its
      peak.
    final_lr_fraction: lr at the end of a stage, as a fraction of its peak.
    clip_norm: largest norm of the whole gradient; 0 does not clip.
    soap_every: updates from one renewal of SOAP's bases to the next. Take 100
      on an accelerator, where a renewal takes as long as several steps.
    added_lr_factor: lr of quantizer, selector and density, relative to lr.
    ema_decay: decay of the parameters' moving average, which export takes; 0
      exports the parameters themselves.
  """

  method: str = "adam"
  lr: float = 5e-5
  warmup_steps: int = 0
  final_lr_fraction: float = 0.1
  clip_norm: float = 0.0
  soap_every: int = 20
  added_lr_factor: float = 1.0
  ema_decay: float = 0.0

  section = "optim."


@dataclasses.dataclass(frozen=True)
class TrainConfig(Checked):
  """The loss, and how often logs and checkpoints are written.

  Attributes:
    distortion: `mse` (on the 0..255 scale), or `ms_ssim` (1 - MS-SSIM).
    precision: `float32`, or `bfloat16` for the transforms.
    lmbda_first: Lagrange weight of level 1 for `mse`.
    lmbda_last: Lagrange weight of the top level; geometric in between. Each of
      the paper's eight levels has twice the weight of the one below, as these.
    level_balance: weighs the loss of a level by lmbda ** -level_balance; the
      mean weight is 1. At 0 (the paper's) the top level outweighs the others.
      Rate grows by about lmbda ** 0.45, so at 0.45 one percent of rate counts
      the same at all levels, as in BD-rate.
    ms_ssim_lmbda_first: Lagrange weight of level 1 for `ms_ssim`.
    ms_ssim_lmbda_last: Lagrange weight of the top level. The paper's are not
      published; these are the commonly used ones.
    distillation: in the stage `fast`, the part of the distortion that is
      against what the full synthesis shows, not against the original. It is the
      function to be learned, without the noise that no decoder can know.
    levels_per_image: random levels for each image in a step; 0 takes all levels
      (the paper's).
    log_every: steps from one row of the log to the next.
    checkpoint_every: steps from one checkpoint to the next.
    accumulate: gradient accumulation: each device computes its batch in this
      many parts, with less memory and the same gradient.
    steps_per_dispatch: steps that the devices run in one call. The other
      intervals have to be multiples of it.
    validate_every: steps from one validation (by real files of
      `data.validation`) to the next; 0 for none. Each stage ends with one, too.
  """

  distortion: str = "mse"
  precision: str = "float32"
  levels_per_image: int = 0
  lmbda_first: float = 0.0015625
  lmbda_last: float = 0.2
  level_balance: float = 0.0
  ms_ssim_lmbda_first: float = 2.40
  ms_ssim_lmbda_last: float = 220.0
  distillation: float = 0.8
  log_every: int = 50
  checkpoint_every: int = 500
  accumulate: int = 1
  steps_per_dispatch: int = 1
  validate_every: int = 0

  section = "train."

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
    super().__post_init__()
    for distortion in ("mse", "ms_ssim"):
      self._objective(distortion)
    dispatch = self.steps_per_dispatch
    for key in ("log_every", "checkpoint_every", "validate_every"):
      check(
        getattr(self, key) % dispatch == 0,
        f"train.{key}",
        getattr(self, key),
        f"a multiple of train.steps_per_dispatch ({dispatch})",
      )


@dataclasses.dataclass(frozen=True)
class DataConfig(Checked):
  """Training images.

  Attributes:
    source: `folder:PATH`, or `tfds:SET[#SPLIT][@DATA_DIR]` of a prepared
      array_record set (NAME, NAME/CONFIG, NAME:VERSION or a builder's folder).
    batch_size: images in a step, on all devices of all hosts together.
    crop_size: side of the crops, pixels.
    max_downscale: largest factor of the random downscaling before a crop.
    cache_mib: memory of a process for decoded images, in MiB; the images that
      do not fit are decoded at each use.
    workers: processes that decode and crop, for hosts of more than 16 CPUs; at
      0 up to 16 threads of this process do. The examples are the same.
    device_resident: whether each device holds the decoded set in its memory and
      cuts the crops there; the examples are the same, but for rounding.
    validation: `folder:PATH` of the images that validation codes.
  """

  source: str = ""
  batch_size: int = 8
  crop_size: int = 256
  max_downscale: float = 2.0
  cache_mib: int = 8192
  workers: int = 0
  device_resident: bool = False
  validation: str = ""

  section = "data."


@dataclasses.dataclass(frozen=True)
class ExperimentConfig(Checked):
  """Everything that decides a training run.

  Attributes:
    seed: of parameters, crops and noise.
    init_from: workdir, model file or shipped model that the parameters come
      from; parts that it lacks start anew. A model of base `hyperprior` may be
      narrower (Net2Wider, `train.transfer`).
    init_parts: which parts come from it.
      `all`: every part, when the first stage that builds it begins.
      `transforms`: analysis and synthesis, which all base models share.
      `base`: the base model with its densities.
      `quantized`: these and the quantizer.
      `selective`: these and the selector, if `model.selective` is true.
      All but `all` build these parts from the first stage on, even if
      `stages.quantization` or `stages.selective` has no steps. So with
      `selective` a run of only the stage `decoder` has the selector.
    model: the model.
    stages: steps of each stage, and what trains in it.
    optim: the optimiser.
    train: loss, logs and checkpoints.
    data: training images.
  """

  seed: int = 0
  init_from: str = ""
  init_parts: str = "all"
  model: ModelConfig = ModelConfig()
  stages: StagesConfig = StagesConfig()
  optim: OptimConfig = OptimConfig()
  train: TrainConfig = TrainConfig()
  data: DataConfig = DataConfig()

  def __post_init__(self):
    super().__post_init__()
    check(
      bool(self.init_from) or self.init_parts == "all",
      "init_parts",
      self.init_parts,
      "'all' where init_from is not set",
    )
    _check_stages(self)
    check(
      self.train.distortion == "mse"
      or self.data.crop_size >= _MS_SSIM_MIN_CROP,
      "data.crop_size",
      self.data.crop_size,
      f"at least {_MS_SSIM_MIN_CROP} for train.distortion 'ms_ssim', whose "
      "five scales of an 11-pixel window need 161 pixels",
    )
    kind, _, path = self.data.validation.partition(":")
    check(
      not self.train.validate_every or (kind == "folder" and bool(path)),
      "data.validation",
      self.data.validation,
      "folder:PATH where train.validate_every is set",
    )


def _check_stages(config: ExperimentConfig) -> None:
  """What the stages' settings need of each other and of the model."""
  stages = {name: getattr(config.stages, name) for name in STAGES}
  run = [name for name in STAGES if stages[name].steps]
  total = sum(stage.steps for stage in stages.values())
  check(total >= 1, "stages.*.steps (sum)", total, "at least 1")
  selective = stages["selective"]
  check(
    selective.mask == "drawn",
    "stages.selective.mask",
    selective.mask,
    "'drawn', from which the selector learns; train under the mask of "
    "inference in a stage 'quantization', with init_parts='selective'",
  )
  check(
    "selector" in selective.part_names,
    "stages.selective.parts",
    selective.parts,
    "parts with 'selector' among them",
  )
  first = stages[run[0]].parts
  check(
    bool(config.init_from) or first == "all",
    f"stages.{run[0]}.parts",
    first,
    "'all' in the first stage where init_from is not set: what is frozen "
    "would stay random",
  )
  for name in run:
    built = stage_model(config, name).parts
    check(
      bool(stages[name].part_names & built),
      f"stages.{name}.parts",
      stages[name].parts,
      f"parts that the stage builds ({', '.join(sorted(built))})",
    )


def default_config_dict():
  """The defaults as a locked ConfigDict; experiments replace some of them."""
  import ml_collections

  return ml_collections.ConfigDict(
    dataclasses.asdict(
      ExperimentConfig(stages=StagesConfig(base=StageConfig(steps=1)))
    )
  ).lock()


def from_dict(
  values: dict[str, Any], cls: type = ExperimentConfig, default: Any = None
):
  """Builds `cls` from nested dicts; an unknown key is a ValueError.

  Args:
    values: by key; keys that are left out keep their defaults.
    cls: one of the dataclasses of this package.
    default: an instance that has the defaults; those of `cls` if None.
  """
  fields = {field.name: field for field in dataclasses.fields(cls)}
  hints = typing.get_type_hints(cls)
  unknown = sorted(set(values) - set(fields))
  if unknown:
    raise ValueError(
      f"unknown config key {unknown[0]!r}; {cls.__name__} has "
      f"{', '.join(sorted(fields))}."
    )
  kwargs = {}
  for name, value in values.items():
    kind = hints[name]
    if dataclasses.is_dataclass(kind):
      value = from_dict(dict(value), kind, fields[name].default)
    elif kind is float and isinstance(value, int):
      value = float(value)
    if not isinstance(value, kind):
      raise ValueError(
        f"config key {name!r} takes a {kind.__name__}, got {value!r}."
      )
    kwargs[name] = value
  return dataclasses.replace(default, **kwargs) if default else cls(**kwargs)


def from_config_dict(config) -> ExperimentConfig:
  """Freezes an experiment's ConfigDict."""
  return from_dict(config.to_dict())


def changes(old: Any, new: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
  """Where two configs differ: (old value, new value) by key."""
  if not dataclasses.is_dataclass(old):
    return {} if old == new else {key: (old, new)}
  changed = {}
  for field in dataclasses.fields(old):
    name = f"{key}.{field.name}" if key else field.name
    pair = (getattr(each, field.name) for each in (old, new))
    changed |= changes(*pair, name)
  return changed


def differences(old: Any, new: Any) -> list[str]:
  """Where two configs differ: `KEY OLD instead of NEW` each."""
  changed = changes(old, new).items()
  return [f"{key} {was} instead of {is_}" for key, (was, is_) in changed]


def stage_model(config: ExperimentConfig, stage: str) -> ModelConfig:
  """The model that a stage trains.

  If a stage has 0 steps, the parts that it adds are built in no stage, unless
  `init_parts` takes them. `model.selective = False` never builds a selector.
  """
  reached = STAGES[: STAGES.index(stage) + 1]
  taken = () if config.init_parts == "all" else INIT_PARTS[config.init_parts]

  def built(part: str, by: str) -> bool:
    return part in taken or (
      by in reached and getattr(config.stages, by).steps > 0
    )

  return dataclasses.replace(
    config.model,
    adaptive=config.model.adaptive and built("quantizer", "quantization"),
    selective=config.model.selective and built("selector", "selective"),
    fast=built("fast_synthesis", "fast"),
  )
