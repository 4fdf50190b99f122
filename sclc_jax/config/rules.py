"""The parts of a model by name, and the values that each key may have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

BASES = ("hyperprior", "mean_scale", "context", "checkerboard")
# Parts of a model, by the path to their parameters.
_BASE_PARTS = (
  "analysis", "synthesis", "hyper_analysis", "hyper_synthesis",
  "entropy_bottleneck", "context_model",
)  # fmt: skip
PARTS = {name: ("base", name) for name in _BASE_PARTS} | {
  "density": ("density",),
  "quantizer": ("quantizer",),
  "qv": ("quantizer", "qv"),
  "iqv": ("quantizer", "iqv"),
  "selector": ("selector",),
  "fast_synthesis": ("fast_synthesis",),
}
# What the decoder has and the encoder does not need to find its symbols.
DECODER_PARTS = (
  "synthesis,hyper_synthesis,entropy_bottleneck,context_model,density,iqv"
)
# `init_parts` by name: the parts that are taken.
INIT_PARTS = {
  "all": tuple(PARTS),
  "transforms": ("analysis", "synthesis"),
  "base": (*_BASE_PARTS, "density"),
  "quantized": (*_BASE_PARTS, "density", "quantizer"),
  "selective": (*_BASE_PARTS, "density", "quantizer", "selector"),
}


def belongs(path: tuple[str, ...], names: Iterable[str]) -> bool:
  """Whether the parameter with these keys is of one of the named `PARTS`."""
  return any(path[: len(PARTS[name])] == PARTS[name] for name in names)


@dataclasses.dataclass(frozen=True)
class Rule:
  """What a value has to satisfy, and how an error says it."""

  holds: Callable[[Any], bool]
  text: str


def _one_of(*choices: str) -> Rule:
  return Rule(lambda v: v in choices, " or ".join(map(repr, choices)))


def _at_least(bound: float) -> Rule:
  return Rule(lambda v: v >= bound, f"at least {bound}")


_POSITIVE = Rule(lambda v: 0 < v < math.inf, "positive")
_FRACTION = Rule(lambda v: 0 <= v <= 1, "in [0, 1]")
_BELOW_ONE = Rule(lambda v: 0 <= v < 1, "in [0, 1)")

RULES = {
  "model.base": _one_of(*BASES),
  "model.N": _at_least(1),
  "model.M": _at_least(1),
  "model.levels": _at_least(2),
  "model.init": _one_of("xavier", "wavelet"),
  "model.table_init": _one_of("ones", "geometric"),
  "model.curves": _one_of("channel", "shared", "none"),
  "model.iqv": _one_of("separate", "shared"),
  "model.unselected": _one_of("mean", "zero"),
  "model.hyper_input": _one_of("signed", "both"),
  "model.density": _one_of("normal", "mixture"),
  "model.mask_threshold": Rule(lambda v: 0 < v < 1, "between 0 and 1"),
  "model.rate_weight": _BELOW_ONE,
  "stages.*.steps": _at_least(0),
  "stages.*.lr": _at_least(0),
  "stages.*.parts": Rule(
    lambda v: v == "all" or set(v.split(",")) <= {"small", *PARTS},
    f"'all', or some of {', '.join(PARTS)} and small, with commas between",
  ),
  "stages.*.rounding": _one_of("noise", "mixed", "coded"),
  "stages.*.mask": _one_of("drawn", "inference"),
  "optim.method": _one_of("adam", "soap"),
  "optim.lr": _POSITIVE,
  "optim.warmup_steps": _at_least(0),
  "optim.final_lr_fraction": _FRACTION,
  "optim.clip_norm": _at_least(0),
  "optim.soap_every": _at_least(1),
  "optim.added_lr_factor": _at_least(0),
  "optim.ema_decay": _BELOW_ONE,
  "train.distortion": _one_of("mse", "ms_ssim"),
  "train.precision": _one_of("float32", "bfloat16"),
  "train.levels_per_image": _at_least(0),
  "train.level_balance": _FRACTION,
  "train.distillation": _FRACTION,
  "train.log_every": _at_least(1),
  "train.checkpoint_every": _at_least(1),
  "train.accumulate": _at_least(1),
  "train.steps_per_dispatch": _at_least(1),
  "train.validate_every": _at_least(0),
  "data.batch_size": _at_least(1),
  "data.crop_size": Rule(
    lambda v: v >= 64 and v % 64 == 0, "a positive multiple of 64"
  ),
  "data.cache_mib": _at_least(0),
  "data.workers": _at_least(0),
  "data.max_downscale": _at_least(1),
  "init_parts": _one_of(*INIT_PARTS),
}


def check(ok: bool, key: str, value: Any, rule: str) -> None:
  """Raises a ValueError that names the key, its value and the rule."""
  if not ok:
    raise ValueError(f"config.{key} must be {rule}, got {value!r}.")


class Checked:
  """A dataclass whose values satisfy `RULES` from its construction on."""

  section: ClassVar[str] = ""  # of the keys: `model.`

  def __post_init__(self):
    for field in dataclasses.fields(self):
      key, value = self.section + field.name, getattr(self, field.name)
      if rule := RULES.get(key):
        check(rule.holds(value), key, value, rule.text)
