import copy
import dataclasses

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax.export.freeze import freeze
from sclc_jax.codec.model.model_file import save_model
from sclc_jax.config import from_dict
from sclc_jax.runs.experiment import initial_params, load_checkpoint, run
from sclc_jax.train.loop import new_state
from sclc_jax.train.stages import stages


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


@pytest.mark.parametrize("parts", ["all", "base", "transforms"])
def test_parts_of_a_model_are_taken_and_the_rest_starts_anew(
  tiny_model, tmp_path, parts
):
  save_model(tiny_model, tmp_path / "m.sclcm")
  config = _config(tiny_model)
  params = initial_params(str(tmp_path / "m.sclcm"), parts)
  found = new_state(config, stages(config)[-1], params)["params"]
  differing = {path[0] for path in _differing(found, tiny_model.params)}
  assert (
    differing
    == {
      "all": set(),
      "base": {"quantizer", "selector"},
      "transforms": {"base", "quantizer", "selector"},
    }[parts]
  )
  base = _differing(found["base"], tiny_model.params["base"])
  assert not {path[0] for path in base} & {"analysis", "synthesis"}


def test_another_base_takes_the_transforms_and_refuses_the_rest(
  tiny_model, tmp_path
):
  save_model(tiny_model, tmp_path / "m.sclcm")
  config = _config(tiny_model, base="mean_scale")
  stage = stages(config)[-1]
  params = initial_params(str(tmp_path / "m.sclcm"), "transforms")
  found = new_state(config, stage, params)["params"]
  jax.tree.map(
    np.testing.assert_array_equal,
    found["base"]["synthesis"],
    tiny_model.params["base"]["synthesis"],
  )
  with pytest.raises(ValueError, match="init_parts is 'transforms'"):
    new_state(config, stage, initial_params(str(tmp_path / "m.sclcm"), "base"))


def test_a_run_can_leave_the_selector_of_its_start(tiny_model, tmp_path):
  save_model(tiny_model, tmp_path / "m.sclcm")
  params = initial_params(str(tmp_path / "m.sclcm"), "quantized")
  assert set(tiny_model.params) - set(params) == {"selector"}
  np.testing.assert_array_equal(
    params["quantizer"]["qv"], tiny_model.params["quantizer"]["qv"]
  )


def _with_dead_channel(model):
  params = copy.deepcopy(model.params)
  layer = params["base"]["analysis"]["conv_3"]
  layer["kernel"] = np.array(layer["kernel"])
  layer["kernel"][..., 0] = 0
  return freeze(model.config, params)


def test_a_run_gives_new_work_to_what_is_dead_where_it_starts(
  tiny_model, tmp_path, capsys
):
  save_model(_with_dead_channel(tiny_model), tmp_path / "m.sclcm")
  Image.fromarray(skimage.data.astronaut()[:192, :192]).save(
    tmp_path / "photo.png"
  )
  config = dataclasses.replace(
    _config(tiny_model), init_from=str(tmp_path / "m.sclcm"), init_revive=True
  )
  data = dataclasses.replace(
    config.data, source=f"folder:{tmp_path}", crop_size=64, batch_size=2
  )
  config = dataclasses.replace(config, data=data)
  assert run(config, tmp_path / "run") == 2
  assert "start again" in capsys.readouterr().err
  base = load_checkpoint(tmp_path / "run")[1]["base"]
  # Adam's first steps of 5e-5 alone would not get there.
  assert np.abs(base["analysis"]["conv_3"]["kernel"][..., 0]).max() > 0.01


def test_nothing_is_revived_where_nothing_was_trained(tiny_model):
  values = dataclasses.asdict(_config(tiny_model)) | {"init_revive": True}
  with pytest.raises(ValueError, match="init_revive.*init_from is not set"):
    from_dict(values)
