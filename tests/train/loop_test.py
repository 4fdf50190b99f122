import csv

import jax
import numpy as np
import pytest
import skimage.data

from sclc_jax.checkpoint import Checkpoints
from sclc_jax.config import from_dict
from sclc_jax.train.data import make_batches, open_folder
from sclc_jax.train.loop import new_state, stages, train

_CONFIG = from_dict(
  {
    "model": {"N": 4, "M": 6, "init": "wavelet", "table_init": "geometric"},
    "stages": {
      "base": {"steps": 3},
      "quantization": {"steps": 2},
      "selective": {"steps": 3},
    },
    "optim": {"lr": 1e-3, "added_lr_factor": 5.0},
    "train": {"levels_per_image": 2, "log_every": 1, "checkpoint_every": 2},
    "data": {"batch_size": 2, "crop_size": 64},
  }
)


def _batches(step):
  image = skimage.data.astronaut()[:128, :128]
  return make_batches(
    [image, image[::-1]], crop_size=64, batch_size=2, seed=0, start_step=step
  )


def _final(workdir):
  checkpoints = Checkpoints(workdir / "checkpoints")
  step = checkpoints.latest_step()
  target = new_state(_CONFIG, stages(_CONFIG)[-1], None)
  return step, checkpoints.restore(step, target)[0]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("unbroken")
  assert train(_CONFIG, workdir, _batches, quiet=True) == 8
  return workdir


def test_all_stages_run_and_every_step_is_logged(unbroken):
  with (unbroken / "log.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [int(row["step"]) for row in rows] == list(range(1, 9))
  names = ["base"] * 3 + ["quantization"] * 2 + ["selective"] * 3
  assert [row["stage"] for row in rows] == names
  assert all(np.isfinite(float(row["loss"])) for row in rows)
  assert all(row["skipped"] == "0" for row in rows)


@pytest.mark.parametrize("stops", [(2,), (3, 4, 7)])
def test_resumed_run_equals_an_unbroken_one(unbroken, tmp_path, stops):
  for stop in stops:
    assert train(_CONFIG, tmp_path, _batches, stop_at=stop, quiet=True) == stop
  assert train(_CONFIG, tmp_path, _batches, quiet=True) == 8
  (step, state), (_, expected) = _final(tmp_path), _final(unbroken)
  assert step == 8
  jax.tree.map(np.testing.assert_array_equal, state, expected)
  log = (tmp_path / "log.csv").read_text()
  assert log == (unbroken / "log.csv").read_text()


def test_non_finite_updates_are_skipped_and_counted(tmp_path, monkeypatch):
  from sclc_jax.train import loop

  real = loop.rate_distortion

  def broken(*args):
    loss, sums = real(*args)
    return loss * np.nan, sums

  monkeypatch.setattr(loop, "rate_distortion", broken)
  train(_CONFIG, tmp_path, _batches, stop_at=2, quiet=True)
  checkpoints = Checkpoints(tmp_path / "checkpoints")
  fresh = new_state(_CONFIG, stages(_CONFIG)[0], None)
  state = checkpoints.restore(2, fresh)[0]
  assert int(state["skipped"]) == 2
  jax.tree.map(np.testing.assert_array_equal, state["params"], fresh["params"])


def test_a_run_of_another_config_is_refused(unbroken):
  import dataclasses

  with pytest.raises(ValueError, match="another config"):
    train(dataclasses.replace(_CONFIG, seed=1), unbroken, _batches, quiet=True)


def test_batches_do_not_depend_on_where_they_start():
  first = [b for b, _ in zip(_batches(0), range(5))]
  np.testing.assert_array_equal(next(_batches(4)), first[4])
  assert first[0].shape == (2, 64, 64, 3) and first[0].dtype == np.uint8


def test_folder_without_images_is_an_error(tmp_path):
  with pytest.raises(ValueError, match="no PNG, JPEG or WebP"):
    open_folder(tmp_path, 64)
  with pytest.raises(ValueError, match="not a folder"):
    open_folder(tmp_path / "missing", 64)
