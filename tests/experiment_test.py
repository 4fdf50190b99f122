import dataclasses

import jax
import numpy as np
import pytest

from sclc_jax.codec.model_file import save_model
from sclc_jax.config import from_dict
from sclc_jax.experiment import initial_params
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
