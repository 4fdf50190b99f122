import dataclasses
import sys

import jax
import numpy as np
import pytest
import skimage.data
from flax.traverse_util import flatten_dict
from PIL import Image

from sclc_jax.codec.model.model_file import save_model
from sclc_jax.config import from_dict
from sclc_jax.export.freeze import freeze
from sclc_jax.runs.experiment import (
  call_in_file,
  initial_params,
  load_checkpoint,
  run,
)
from sclc_jax.train.stages import stages
from sclc_jax.train.state import new_state


def _config(tiny_model, **changes):
  model = dataclasses.asdict(tiny_model.config) | changes
  stage = {"steps": 1}
  return from_dict(
    {
      "seed": 5,
      "model": model,
      "stages": {"quantization": stage, "selective": stage},
      "train": {"levels_per_image": 1},
    }
  )


def _differing(a, b, path=()) -> set[tuple[str, ...]]:
  """Paths of two levels below which the trees differ."""
  if not isinstance(a, dict):
    return set() if np.array_equal(a, b) else {path[:2]}
  return set().union(*(_differing(a[k], b[k], (*path, k)) for k in a))


@pytest.mark.parametrize("parts", ["all", "base", "transforms", "quantized"])
def test_parts_of_a_model_are_taken_and_the_rest_starts_anew(
  tiny_model, tmp_path, parts
):
  save_model(tiny_model, tmp_path / "m.sclcm")
  config = _config(tiny_model)
  params = initial_params(str(tmp_path / "m.sclcm"), parts)
  merged = new_state(config, stages(config)[-1], params)["params"]
  differing = {path[0] for path in _differing(merged, tiny_model.params)}
  assert (
    differing
    == {
      "all": set(),
      "base": {"quantizer", "selector"},
      "transforms": {"base", "quantizer", "selector"},
      "quantized": {"selector"},
    }[parts]
  )
  base = _differing(merged["base"], tiny_model.params["base"])
  assert not {path[0] for path in base} & {"analysis", "synthesis"}


def test_another_base_takes_the_transforms_and_refuses_the_rest(
  tiny_model, tmp_path
):
  save_model(tiny_model, tmp_path / "m.sclcm")
  config = _config(tiny_model, base="mean_scale")
  stage = stages(config)[-1]
  params = initial_params(str(tmp_path / "m.sclcm"), "transforms")
  merged = new_state(config, stage, params)["params"]
  jax.tree.map(
    np.testing.assert_array_equal,
    merged["base"]["synthesis"],
    tiny_model.params["base"]["synthesis"],
  )
  with pytest.raises(ValueError, match="init_parts is 'transforms'"):
    new_state(config, stage, initial_params(str(tmp_path / "m.sclcm"), "base"))


@pytest.fixture
def photos(tmp_path):
  image = skimage.data.astronaut()[:128, 100:260]
  Image.fromarray(image).save(tmp_path / "photo.png")
  return f"folder:{tmp_path}"


@pytest.mark.parametrize("parts", ["quantized", "selective"])
def test_a_run_of_the_decoder_alone_has_the_parts_of_its_start(
  tiny_model, tmp_path, photos, parts
):
  save_model(tiny_model, tmp_path / "m.sclcm")
  config = from_dict(
    {
      "init_from": str(tmp_path / "m.sclcm"),
      "init_parts": parts,
      "model": dataclasses.asdict(tiny_model.config),
      "stages": {"decoder": {"steps": 1}},
      "data": {"source": photos, "crop_size": 64, "batch_size": 1},
      "train": {"levels_per_image": 1},
    }
  )
  assert run(config, tmp_path / "run", quiet=True) == 1
  model, params, _ = load_checkpoint(tmp_path / "run")
  assert model.adaptive and model.selective == (parts == "selective")
  kept = {("base", "analysis"), ("base", "hyper_analysis")}
  kept |= {("selector", "head"), ("selector", "gamma")} & {
    path[:2] for path in flatten_dict(params)
  }
  differing = _differing(params, tiny_model.params)
  assert ("base", "synthesis") in differing and not differing & kept
  np.testing.assert_array_equal(
    params["quantizer"]["qv"], tiny_model.params["quantizer"]["qv"]
  )


@pytest.mark.parametrize("part", ["quantizer", "selector"])
def test_parts_that_the_start_has_not_are_named(tiny_model, tmp_path, part):
  params = {k: v for k, v in tiny_model.params.items() if k == "base"}
  if part == "selector":
    params["quantizer"] = tiny_model.params["quantizer"]
  config = dataclasses.replace(
    tiny_model.config, selective=False, adaptive=part == "selector"
  )
  save_model(freeze(config, params), tmp_path / "m.sclcm")
  with pytest.raises(ValueError, match=f"m.sclcm has no {part}; take"):
    initial_params(str(tmp_path / "m.sclcm"), "selective")


def test_a_config_imports_what_lies_beside_it_and_not_beside_another(tmp_path):
  for name in ("a", "b"):
    (tmp_path / name).mkdir()
    (tmp_path / name / "beside.py").write_text(f"NAME = {name!r}")
    (tmp_path / name / "c.py").write_text(
      "import beside\ndef get_config():\n  return beside.NAME"
    )
  path = list(sys.path)
  for name in ("a", "b"):
    assert call_in_file(tmp_path / name / "c.py", "get_config") == name
  assert sys.path == path and "beside" not in sys.modules
