"""With which settings a run may go on, and what it says of them."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from sclc_jax.config import ExperimentConfig, from_dict
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.resume import reached
from sclc_jax.train.stages import ending

_CONFIG = from_dict(
  {
    "stages": {"base": {"steps": 10}, "selective": {"steps": 20}},
    "data": {"source": "folder:a"},
  }
)


def _with(**values: Any) -> ExperimentConfig:
  """The config with other values, by key with `__` for a dot."""
  parts = dataclasses.asdict(_CONFIG)
  for key, value in values.items():
    *groups, name = key.split("__")
    part = parts
    for group in groups:
      part = part[group]
    part[name] = value
  return from_dict(parts)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """Of a run at step 15, in the second stage; its states are not looked at."""
  workdir = tmp_path_factory.mktemp("run")
  checkpoints = Checkpoints(workdir / "checkpoints")
  meta = {"config": dataclasses.asdict(_CONFIG)}
  checkpoints.save(15, {"a": np.zeros(1)}, meta)
  checkpoints.close()
  return workdir


def _reached(workdir, config, wanted=None) -> tuple[int, list[str]]:
  checkpoints = Checkpoints(workdir / "checkpoints")
  try:
    return reached(checkpoints, config, workdir, wanted)
  finally:
    checkpoints.close()


@pytest.mark.parametrize(
  ("values", "said"),
  [
    ({}, ""),
    ({"train__log_every": 7}, "; train.log_every is 7, was 50"),
    ({"train__checkpoint_every": 7}, "; train.checkpoint_every is 7, was 500"),
    ({"data__cache_mib": 1}, "; data.cache_mib is 1, was 8192"),
    ({"train__accumulate": 2}, "; train.accumulate is 2, was 1"),
    (
      {"train__steps_per_dispatch": 5},
      "; train.steps_per_dispatch is 5, was 1",
    ),
    (
      {"train__validate_every": 5, "data__validation": "folder:v"},
      "; train.validate_every is 5, was 0; data.validation is folder:v, was ",
    ),
    ({"stages__decoder__steps": 5}, "; stages.decoder.steps is 5, was 0"),
    ({"stages__decoder__lr": 0.1}, "; stages.decoder.lr is 0.1, was 0.0"),
  ],
)
def test_settings_that_change_no_number_may_differ(workdir, values, said):
  step, lines = _reached(workdir, _with(**values))
  last = 30 + values.get("stages__decoder__steps", 0)
  text = f"resumed from step 15 of {last} (stage selective)"
  assert (step, lines) == (15, [text + said])


@pytest.mark.parametrize(
  ("values", "warning"),
  [
    ({"data__source": "folder:b"}, "data.source was folder:a: unless"),
    ({"stages__selective__steps": 21}, "stage selective takes longer .*cosine"),
  ],
)
def test_settings_that_may_change_numbers_get_a_line(workdir, values, warning):
  step, (resumed, line) = _reached(workdir, _with(**values))
  assert step == 15 and resumed.startswith("resumed from step 15")
  assert re.match(warning, line)


@pytest.mark.parametrize(
  ("values", "named"),
  [
    ({"seed": 1}, "seed 0 instead of 1"),
    ({"optim__lr": 1.0}, "optim.lr 5e-05 instead of 1.0"),
    ({"stages__base__steps": 11}, "stages.base.steps 10 instead of 11"),
    ({"stages__quantization__steps": 1}, "quantization.steps 0 instead of 1"),
    ({"stages__selective__steps": 19}, "selective.steps 20 instead of 19"),
    ({"stages__selective__lr": 1.0}, "selective.lr 0.0 instead of 1.0"),
    ({"data__crop_size": 64}, "data.crop_size 256 instead of 64"),
  ],
)
def test_all_else_is_refused_by_its_key(workdir, values, named):
  config = _with(**values, train__log_every=7)
  with pytest.raises(ValueError, match=named) as info:
    _reached(workdir, config)
  assert "log_every" not in str(info.value)


def test_a_step_is_taken_and_later_ones_are_set_aside(tmp_path):
  checkpoints = Checkpoints(tmp_path / "checkpoints")
  meta = {"config": dataclasses.asdict(_CONFIG)}
  for step in (5, 15, 20):
    checkpoints.save(step, {"a": np.zeros(1)}, meta)
  checkpoints.close()
  with pytest.raises(ValueError, match="seed"):
    _reached(tmp_path, _with(seed=1), 5)
  assert _reached(tmp_path, _CONFIG)[0] == 20  # nothing was moved
  step, (moved, resumed) = _reached(tmp_path, _CONFIG, 5)
  assert step == 5
  assert moved.startswith("set aside the checkpoints after step 5: 15, 20, now")
  assert resumed == "resumed from step 5 of 30 (stage base)"
  assert _reached(tmp_path, _CONFIG)[0] == 5


def test_a_folder_without_checkpoints_starts_anew(tmp_path):
  assert _reached(tmp_path, _CONFIG) == (0, [])
  with pytest.raises(ValueError, match="no checkpoint of step 3; it has none"):
    _reached(tmp_path, _CONFIG, 3)


def test_the_last_line_tells_stopped_from_finished():
  assert ending(_CONFIG, 30, stop_at=30, from_step=3) == "finished: step 30"
  stopped = "stopped at step 12 of 30; the same command "
  assert ending(_CONFIG, 12) == stopped + "resumes"
  assert ending(_CONFIG, 12, stop_at=20) == stopped + "resumes"
  text = "without --stop-at and --step resumes"
  assert ending(_CONFIG, 12, 12, 3) == stopped + text
