import dataclasses

import pytest

from sclc_jax.config import INIT_PARTS, STAGES, from_dict, stage_model
from sclc_jax.config.rules import RULES


def _config(stages, **values):
  steps = {name: {"steps": steps} for name, steps in stages.items()}
  return from_dict({"stages": steps, **values})


@pytest.mark.parametrize(
  "values, message",
  [
    ({"model": {"N": 0}}, r"config.model.N must be at least 1, got 0"),
    ({"model": {"base": "foo"}}, r"model.base must be 'hyperprior' or .*'foo'"),
    ({"optim": {"lr": -1.0}}, r"config.optim.lr must be positive, got -1.0"),
    ({"optim": {"lr": float("nan")}}, "optim.lr must be positive, got nan"),
    ({"data": {"crop_size": 100}}, "crop_size must be a positive multiple of"),
    ({"stages": {"base": {"rounding": "hard"}}}, r"\*.rounding must .*'hard'"),
    ({"stages": {"base": {"mask": "hard"}}}, r"s.\*.mask must .*'hard'"),
    ({"stages": {"base": {"parts": "head"}}}, r"stages.\*.parts .*iqv.*'head'"),
    ({"init_parts": "some"}, "init_parts must be 'all' or .*'some'"),
  ],
)
def test_an_error_names_key_value_and_bound(values, message):
  with pytest.raises(ValueError, match=message):
    from_dict(values)


def test_every_rule_is_of_a_key():
  config = dataclasses.asdict(_config({"base": 1}))
  config["stages"] = {"*": config["stages"]["base"]}

  def keys(node, prefix=""):
    for name, value in node.items():
      if isinstance(value, dict):
        yield from keys(value, f"{prefix}{name}.")
      else:
        yield prefix + name

  assert set(RULES) <= set(keys(config))


@pytest.mark.parametrize(
  "settings, message",
  [
    ({"mask": "inference"}, "stages.selective.mask must be 'drawn'"),
    ({"parts": "quantizer"}, "stages.selective.parts must be .*'selector'"),
  ],
)
def test_the_selector_learns_in_its_stage(settings, message):
  with pytest.raises(ValueError, match=message):
    from_dict({"stages": {"selective": {"steps": 1, **settings}}})


def test_a_stage_trains_something_that_it_builds():
  with pytest.raises(ValueError, match="stages.quantization.parts .*builds"):
    from_dict(
      {
        "model": {"iqv": "shared"},
        "stages": {"base": {"steps": 1},
                   "quantization": {"steps": 1, "parts": "iqv,context_model"}},
      }
    )  # fmt: skip


def test_nothing_random_is_frozen():
  stages = {"base": {"steps": 1, "parts": "small"}}
  with pytest.raises(ValueError, match="stages.base.parts must be 'all'.*'sma"):
    from_dict({"stages": stages})
  from_dict({"stages": stages, "init_from": "cpu-small"})
  stages = {"base": {"steps": 1}, "quantization": stages["base"]}
  from_dict({"stages": stages})


@pytest.mark.parametrize("parts", INIT_PARTS)
def test_parts_that_are_named_are_there_from_the_first_stage_on(parts):
  config = _config({"decoder": 1}, init_from="cpu-small", init_parts=parts)
  for stage in STAGES:
    model = stage_model(config, stage)
    assert model.adaptive == (parts in ("quantized", "selective"))
    assert model.selective == (parts == "selective")


def test_a_stage_of_no_steps_leaves_its_parts_unbuilt():
  config = _config({"base": 1, "selective": 1}, init_from="cpu-small")
  built = [stage_model(config, stage) for stage in STAGES]
  assert not any(model.adaptive for model in built)
  later = STAGES.index("selective")
  assert [model.selective for model in built] == [
    number >= later for number in range(len(STAGES))
  ]


def test_without_a_selector_in_the_model_none_is_built():
  config = _config(
    {"selective": 1}, init_from="cpu-small", init_parts="selective",
    model={"selective": False},
  )  # fmt: skip
  assert not any(stage_model(config, stage).selective for stage in STAGES)


def test_keys_that_are_left_out_keep_the_defaults_of_their_stage():
  config = _config({"base": 1, "decoder": 1})
  assert config.stages.decoder.rounding == "coded"
  assert config.stages.decoder.mask == "inference"
  assert config.stages.base.rounding == "noise"
