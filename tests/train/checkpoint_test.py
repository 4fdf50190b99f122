"""Checkpoints that lost a part are refused in one sentence."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from sclc_jax.buckets import find, to_path
from sclc_jax.files import is_folder, size, write_whole
from sclc_jax.train.checkpoint import Checkpoints, open_checkpoint

_STATE = {
  "params": {"kernel": np.arange(6000, dtype=np.float32)},
  "opt_state": (np.ones(5, np.float32), np.zeros((), np.int32)),
}


def _save(workdir: pathlib.Path, steps=(5, 10)) -> pathlib.Path:
  checkpoints = Checkpoints(workdir / "checkpoints")
  for step in steps:
    checkpoints.save(step, _STATE, {"config": {}})
  checkpoints.close()
  return workdir / "checkpoints"


def _restore(workdir: pathlib.Path, step=None):
  """The state, read as a resumption and an export read it."""
  checkpoints, chosen = open_checkpoint(workdir, step)
  target = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), _STATE
  )
  checkpoints.meta(chosen)
  state = checkpoints.restore(chosen, target)[0]
  checkpoints.close()
  return state


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> pathlib.Path:
  return _save(tmp_path_factory.mktemp("saved")).parent


def _damages(folder: pathlib.Path):
  """(name, what does it) of every part that a checkpoint can lose."""
  for path in sorted(folder.rglob("*")):
    name = path.relative_to(folder)
    if path.is_dir():
      yield f"no {name}", lambda f, n=name: shutil.rmtree(f / n)
      continue
    half = path.read_bytes()[: path.stat().st_size // 2]
    yield f"no {name}", lambda f, n=name: (f / n).unlink()
    yield f"empty {name}", lambda f, n=name: (f / n).write_bytes(b"")
    yield f"half {name}", lambda f, n=name, h=half: (f / n).write_bytes(h)
  yield "an empty folder", lambda f: (shutil.rmtree(f), f.mkdir())
  yield "a part under another name", lambda f: (
    (f / "state").rename(f / "state.orbax-checkpoint-tmp")
  )


def test_whatever_a_checkpoint_lost_it_is_whole_or_another_is_named(
  saved, tmp_path, capfd
):
  refused = []
  for number, (name, damage) in enumerate(
    _damages(saved / "checkpoints" / "10")
  ):
    workdir = tmp_path / str(number)
    shutil.copytree(saved, workdir)
    damage(workdir / "checkpoints" / "10")
    try:
      state = _restore(workdir)
    except ValueError as error:
      assert str(error) == (
        f"{workdir}/checkpoints/10 is incomplete; the last whole checkpoint "
        "is step 5: --step 5 takes it."
      )
      refused.append(name)
      state = _restore(workdir, 5)
    jax.tree.map(np.testing.assert_array_equal, state, _STATE)
  for needed in ("no meta", "no state", "empty state/manifest.ocdbt"):
    assert needed in refused
  data = ("half state/ocdbt.process_0/d", "no state/ocdbt.process_0/d/")
  for start in data:
    assert any(name.startswith(start) for name in refused)
  captured = capfd.readouterr()
  assert captured.out == captured.err == ""  # nothing from orbax's threads


def test_a_single_incomplete_checkpoint_leaves_nothing_to_take(tmp_path):
  folder = _save(tmp_path, [10])
  shutil.rmtree(folder / "10" / "state")
  with pytest.raises(ValueError, match="incomplete; no other .* --workdir"):
    _restore(tmp_path)


def test_steps_that_are_not_there_are_named(tmp_path):
  _save(tmp_path)
  with pytest.raises(ValueError, match="no checkpoint of step 7; it has 5, 10"):
    open_checkpoint(tmp_path, 7)
  Checkpoints(tmp_path / "new" / "checkpoints").close()
  with pytest.raises(ValueError, match="holds no checkpoint"):
    open_checkpoint(tmp_path / "new")


def test_a_state_of_other_parts_is_refused_in_one_sentence(saved):
  checkpoints, step = open_checkpoint(saved)
  target = {"other": jax.ShapeDtypeStruct((3,), np.float32)}
  with pytest.raises(ValueError, match="10 cannot be restored .*step 5") as e:
    checkpoints.restore(step, target)
  assert len(str(e.value).splitlines()) == 1 and len(str(e.value)) < 500


def test_steps_set_aside_make_room_for_new_ones(tmp_path):
  folder = _save(tmp_path, [3, 5, 10])
  checkpoints = Checkpoints(folder)
  assert checkpoints.set_aside(3) == [5, 10]
  assert checkpoints.set_aside(3) == []
  aside = tmp_path / "set_aside" / "checkpoints"
  assert sorted(path.name for path in aside.iterdir()) == ["10", "5"]
  checkpoints.save(5, _STATE, {"config": {"new": 1}})
  checkpoints.close()
  assert Checkpoints(folder).meta(5) == {"config": {"new": 1}}


def test_what_a_save_left_that_was_cut_off_is_removed(tmp_path):
  folder = _save(tmp_path)
  name = "15.orbax-checkpoint-tmp-123"
  (folder / "10").rename(folder / name)
  assert Checkpoints(folder).latest_step() == 5
  assert (folder / name).exists()  # an export leaves it as it is
  checkpoints = Checkpoints(folder)
  assert checkpoints.remove_unfinished() == [name]
  assert not (folder / name).exists() and checkpoints.all_steps() == [5]


def test_a_bucket_keeps_restores_and_sets_aside_steps(bucket):
  checkpoints = Checkpoints(f"{bucket}/checkpoints", max_to_keep=2)
  assert checkpoints.remove_unfinished() == []
  for step in (3, 5, 10):
    checkpoints.save(step, _STATE, {"config": {"at": step}})
  checkpoints.close()
  jax.tree.map(np.testing.assert_array_equal, _restore(bucket), _STATE)
  checkpoints, step = open_checkpoint(bucket)
  assert (step, checkpoints.all_steps()) == (10, [5, 10])
  assert checkpoints.meta(10) == {"config": {"at": 10}}
  assert checkpoints.set_aside(5) == [10]
  assert checkpoints.all_steps() == [5]
  assert is_folder(f"{bucket}/set_aside/checkpoints/10")


def test_a_step_in_a_bucket_that_lost_a_part_is_refused(bucket):
  _save(to_path(bucket))
  folder = f"{bucket}/checkpoints/10"
  (data,) = [
    name
    for name in find(folder)
    if "/ocdbt.process_0/d/" in name and size(name) > 5000
  ]
  write_whole(data, b"")
  with pytest.raises(ValueError, match="10 is incomplete; .* is step 5: --st"):
    _restore(bucket)


def test_a_save_into_a_bucket_that_was_cut_off_is_removed(bucket):
  folder = _save(to_path(bucket))
  (folder / "10" / "commit_success.txt").unlink()
  assert Checkpoints(folder).latest_step() == 5
  checkpoints = Checkpoints(folder)
  assert checkpoints.remove_unfinished() == ["10"]
  assert not is_folder(folder / "10") and checkpoints.all_steps() == [5]
