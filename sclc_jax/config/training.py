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

STAGES = ("base", "quantization", "selective", "decoder")
_MS_SSIM_MIN_CROP = 192  # the next multiple of 64 above its 161 pixels


@dataclasses.dataclass(frozen=True)
class StageConfig(Checked):
  """One training stage.

  Attributes:
    steps: how long it takes.
    lr: highest learning rate; 0 takes `optim.lr`.
    parts: what trains; the other parts are frozen. `all`, or names with commas
      between: analysis, synthesis, hyper_analysis, hyper_synthesis,
      entropy_bottleneck (the density of z), context_model, density (of y),
      quantizer (or qv or iqv alone), selector. The word `small` freezes all
      kernels of 2**16 elements and more: alone it trains everything else,
      beside names what is small in these. At the paper's widths 0.3 of 12
      million parameters are small, and `sclc export --parent` stores these
      alone.
    rounding: what stands for rounding. `noise`: uniform noise (the paper's).
      `mixed`: noise for the rate, while hyper_synthesis and synthesis see
      rounded latents (arXiv 2007.08739, section 3.2). `coded`: latents rounded
      as the encoder does it, throughout. Gradients pass straight through what
      is rounded.
    mask: `drawn`: elements are kept with their probability, which is what the
      selector learns from (paper, section 3.1). `inference`: the mask that
      will be coded, which has no gradient; the selector stays as it is.
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
  """The stages in their order: the paper's (section 3.3), and one of ours.

  The last, of no steps unless a config asks for it, fits what the decoder
  alone has to what it will see.
  """

  base: StageConfig = StageConfig()
  quantization: StageConfig = StageConfig()
  selective: StageConfig = StageConfig()
  decoder: StageConfig = StageConfig(
    parts=DECODER_PARTS, rounding="coded", mask="inference"
  )


@dataclasses.dataclass(frozen=True)
class OptimConfig(Checked):
  """The optimiser, with linear warm-up and cosine decay within each stage.

  Attributes:
    method: `adam`, or `soap` for kernels and Adam for all else. On a CPU it
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
    accumulate: gradient accumulation: parts that each device's batch is worked
      off in; less memory, the same gradient.
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

  section = "data."


@dataclasses.dataclass(frozen=True)
class ExperimentConfig(Checked):
  """Everything that decides a training run.

  Attributes:
    seed: of parameters, crops and noise.
    init_from: workdir, model file or shipped model that the parameters come
      from; what it has not starts anew. One of base `hyperprior` may be
      narrower: it goes on inside, by Net2Wider (`train.transfer`).
    init_parts: which parts come from it. `all`: what it has of the parts that
      the stages build, as they build them. With the other values these parts
      are taken and are there from the first stage on, whatever the steps of
      `stages.quantization` and `stages.selective`: the `transforms` (analysis
      and synthesis, which all base models share), the `base` model with its
      densities, `quantized`: the quantizer as well, `selective`: the selector
      as well. So a run of the stage `decoder` alone has a finished model's
      selector where this is `selective` (and `model.selective` is true).
    model: what is built.
    stages: how long each stage takes, and what trains in it.
    optim: the optimiser.
    train: loss and rhythm.
    data: images.
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


def differences(old: Any, new: Any, key: str = "") -> list[str]:
  """Where two configs differ: `KEY OLD instead of NEW` each."""
  if not dataclasses.is_dataclass(old):
    return [] if old == new else [f"{key} {old} instead of {new}"]
  lines = []
  for field in dataclasses.fields(old):
    name = f"{key}.{field.name}" if key else field.name
    pair = (getattr(each, field.name) for each in (old, new))
    lines += differences(*pair, name)
  return lines


def stage_model(config: ExperimentConfig, stage: str) -> ModelConfig:
  """The model that a stage trains.

  A stage of 0 steps leaves the parts it adds unbuilt, there and in later ones,
  unless `init_parts` says that they come with the start;
  `model.selective = False` builds no selector whatever the steps.
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
  )
