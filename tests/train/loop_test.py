import csv
import dataclasses
import functools
import shutil
import signal

import jax
import numpy as np
import pytest
import skimage.data
from runs import batches as _batches
from runs import final as _final
from runs import logged

from sclc_jax.config import STAGES, from_dict
from sclc_jax.train import device_data, optim, step, sums
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.data import make_batches, open_folder
from sclc_jax.train.loop import train
from sclc_jax.train.optim import optimizer
from sclc_jax.train.packing import Packing
from sclc_jax.train.stages import stages
from sclc_jax.train.state import new_state, restore_state, trained_params
from sclc_jax.train.step import call_shapes, make_dispatch

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


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("unbroken")
  assert train(_CONFIG, workdir, _batches, quiet=True) == 8
  return workdir


def test_all_stages_run_and_every_step_is_logged(unbroken):
  rows = logged(unbroken)
  assert [int(row["step"]) for row in rows] == list(range(1, 9))
  names = ["base"] * 3 + ["quantization"] * 2 + ["selective"] * 3
  assert [row["stage"] for row in rows] == names
  assert all(np.isfinite(float(row["loss"])) for row in rows)
  assert all(row["skipped"] == "0" for row in rows)


def _assert_resumes_as_unbroken(workdir, unbroken) -> None:
  assert train(_CONFIG, workdir, _batches, quiet=True) == 8
  (step, state), (_, expected) = (
    _final(folder, _CONFIG) for folder in (workdir, unbroken)
  )
  assert step == 8
  jax.tree.map(np.testing.assert_array_equal, state, expected)
  assert logged(workdir) == logged(unbroken)


@pytest.mark.parametrize("stops", [(2,), (3, 4, 7)])
def test_resumed_run_equals_an_unbroken_one(unbroken, tmp_path, stops):
  for stop in stops:
    assert train(_CONFIG, tmp_path, _batches, stop_at=stop, quiet=True) == stop
  _assert_resumes_as_unbroken(tmp_path, unbroken)


def test_sigterm_saves_and_ends_and_the_same_run_resumes_exactly(
  unbroken, tmp_path
):
  def batches(step):
    for number, batch in enumerate(_batches(step), step):
      if number == 4:
        signal.raise_signal(signal.SIGTERM)
      yield batch

  handler = signal.getsignal(signal.SIGTERM)
  step = train(_CONFIG, tmp_path, batches, quiet=True)
  assert signal.getsignal(signal.SIGTERM) == handler
  assert 4 < step < 8
  _assert_resumes_as_unbroken(tmp_path, unbroken)


@pytest.fixture
def ctrl_c():
  """Ctrl-C as in a terminal; a process in the background ignores it."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


def _interrupting(at: int, times: int = 1):
  """Batches; before that of a step, Ctrl-C is pressed so many times."""

  def batches(step):
    for number, batch in enumerate(_batches(step), step):
      if number == at:
        for _ in range(times):
          signal.raise_signal(signal.SIGINT)
      yield batch

  return batches


def test_ctrl_c_saves_says_so_and_the_same_run_resumes_exactly(
  unbroken, tmp_path, capsys, ctrl_c
):
  handler = signal.getsignal(signal.SIGINT)
  with pytest.raises(KeyboardInterrupt) as stop:
    train(_CONFIG, tmp_path, _interrupting(4), quiet=True)
  assert signal.getsignal(signal.SIGINT) == handler
  step = Checkpoints(tmp_path / "checkpoints").latest_step()
  assert 4 < step < 8
  text = f"stopped at step {step} of 8; the same command resumes"
  assert str(stop.value) == text
  _assert_resumes_as_unbroken(tmp_path, unbroken)
  assert f"resumed from step {step} of 8 (stage" in capsys.readouterr().err


def test_a_second_ctrl_c_ends_at_once(tmp_path, ctrl_c):
  with pytest.raises(KeyboardInterrupt) as stop:
    train(_base_only(), tmp_path, _interrupting(0, 2), quiet=True)
  assert not str(stop.value)
  assert not Checkpoints(tmp_path / "checkpoints").all_steps()


def test_a_step_is_resumed_as_an_unbroken_run_goes_on(
  unbroken, tmp_path, capsys
):
  shutil.copytree(unbroken, tmp_path, dirs_exist_ok=True)
  shutil.rmtree(tmp_path / "checkpoints" / "8" / "state")
  with pytest.raises(ValueError, match="8 is incomplete; .*: --step 6 takes"):
    train(_CONFIG, tmp_path, _batches, quiet=True)
  log = dataclasses.replace(_CONFIG.train, log_every=2)
  config = dataclasses.replace(_CONFIG, train=log)
  train(config, tmp_path, _batches, from_step=6, quiet=True)
  (_, state), (_, expected) = (_final(w, config) for w in (tmp_path, unbroken))
  jax.tree.map(np.testing.assert_array_equal, state, expected)
  steps = [int(row["step"]) for row in logged(tmp_path)]
  assert steps == [1, 2, 3, 4, 5, 6, 8]
  shown = capsys.readouterr().err
  assert "set aside the checkpoints after step 6: 8" in shown
  assert "resumed from step 6 of 8 (stage selective); train.log_every" in shown


def test_speed_and_gradient_norm_are_logged_and_no_cell_is_nan(unbroken):
  with (unbroken / "log.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert "nan" not in (unbroken / "log.csv").read_text()
  assert all(float(row["grad_norm"]) > 0 for row in rows)
  for row in rows:
    drawn = [k for k in range(1, 9) if row[f"bpp_{k}"]]
    assert len(drawn) == (1 if row["stage"] == "base" else len(set(drawn)))
    timed = row["step"] not in ("1", "4", "6")  # the calls that compile
    assert bool(row["step_ms"]) == bool(row["images_per_s"]) == timed
    if timed:
      rate = 2000 / float(row["step_ms"])
      assert float(row["images_per_s"]) == pytest.approx(rate, rel=1e-3)
      assert 0 <= float(row["data_wait"]) <= 1
    assert row["peak_share"] == ""  # nobody says what this CPU can do at best


def test_a_log_that_was_cut_off_or_had_fewer_columns_goes_on(tmp_path):
  config = _base_only(log_every=2)
  train(config, tmp_path, _batches, stop_at=2, quiet=True)
  log = tmp_path / "log.csv"
  log.write_text("step,stage,loss\n1,base,3\n2,ba")
  train(config, tmp_path, _batches, quiet=True)
  rows = logged(tmp_path)
  assert [row["step"] for row in rows] == ["1", "4", "5"]
  assert rows[0]["loss"] == "3" and rows[0]["grad_norm"] == ""


def test_a_run_in_its_last_stage_does_not_ask_what_it_started_from(tmp_path):
  def unavailable():
    raise AssertionError("asked")

  with pytest.raises(AssertionError, match="asked"):
    train(_CONFIG, tmp_path / "new", _batches, initial_params=unavailable)
  train(_CONFIG, tmp_path, _batches, stop_at=7, quiet=True)
  step = train(
    _CONFIG, tmp_path, _batches, initial_params=unavailable, quiet=True
  )
  assert step == 8


def test_soap_resumes_exactly_and_spares_the_tables(tmp_path):
  parts = dataclasses.asdict(_base_only())
  parts["optim"]["method"] = "soap"
  config = from_dict(parts)
  train(config, tmp_path / "whole", _batches, quiet=True)
  train(config, tmp_path / "parts", _batches, stop_at=3, quiet=True)
  train(config, tmp_path / "parts", _batches, quiet=True)
  states = [_final(tmp_path / n, config)[1] for n in ("whole", "parts")]
  jax.tree.map(np.testing.assert_array_equal, *states)
  params = {"quantizer": {"qv": np.ones((8, 6), np.float32)}}
  grads = {"small": np.arange(1, 49, dtype=np.float32)}
  updates = []
  for settings in (config, _base_only()):
    tx = optimizer(settings, stages(settings)[0], Packing.of(params))
    packed = Packing.of(params).pack(params)
    updates.append(tx.update(grads, tx.init(packed), packed)[0])
  jax.tree.map(np.testing.assert_array_equal, *updates)


def test_decoder_stage_follows_the_others_and_keeps_the_encoder(tmp_path):
  parts = dataclasses.asdict(_CONFIG)
  for name, steps in zip(STAGES, (0, 1, 1, 2)):
    parts["stages"][name]["steps"] = steps
  config = from_dict(parts)
  for stop in (2, 3, None):  # ends inside the stage, too
    reached = train(config, tmp_path, _batches, stop_at=stop, quiet=True)
  assert reached == 4 and stages(config)[-1].name == "decoder"
  checkpoints = Checkpoints(tmp_path / "checkpoints")
  before = restore_state(checkpoints, 2, config, stages(config)[-2])["params"]
  after = _final(tmp_path, config)[1]["params"]
  for kept in ("analysis", "hyper_analysis"):
    jax.tree.map(
      np.testing.assert_array_equal, after["base"][kept], before["base"][kept]
    )
  np.testing.assert_array_equal(
    after["quantizer"]["qv"], before["quantizer"]["qv"]
  )
  jax.tree.map(
    np.testing.assert_array_equal, after["selector"], before["selector"]
  )
  pairs = (jax.tree.leaves(p["base"]["synthesis"]) for p in (after, before))
  assert any(np.any(a != b) for a, b in zip(*pairs))


def test_large_kernels_can_stay_as_they_are(tmp_path, monkeypatch):
  monkeypatch.setattr(optim, "LARGE_KERNEL", 450)
  parts = dataclasses.asdict(_base_only())
  parts["stages"]["base"]["parts"] = "small"
  parts["optim"] |= {"method": "soap", "clip_norm": 1.0, "ema_decay": 0.9}
  config = from_dict(parts | {"init_from": "elsewhere"})
  for stop in (3, None):
    train(config, tmp_path, _batches, stop_at=stop, quiet=True)
  before = new_state(config, stages(config)[0], None)["params"]
  after = trained_params(_final(tmp_path, config)[1])
  kept, changed = [], []
  for path, old in jax.tree_util.tree_leaves_with_path(before):
    new = after
    for key in path:
      new = new[key.key]
    same = np.array_equal(old, new)
    (kept if same else changed).append((path[-1].key, old.size))
  assert {key for key, _ in kept} == {"kernel"}
  assert min(size for _, size in kept) >= 450
  assert max(size for key, size in changed if key == "kernel") < 450


def test_steps_of_tables_are_relative_to_their_size():
  tables = {"qv": np.array([16.0, 1.0, 0.0])}
  params = {"quantizer": tables, "base": {"other": np.ones(3)}}
  packing = Packing.of(params)
  tx = optimizer(_CONFIG, stages(_CONFIG)[-1], packing)
  packed = packing.pack(params)
  grads = jax.tree.map(np.ones_like, packed)
  updates = packing.unpack(tx.update(grads, tx.init(packed), packed)[0])
  rate = -5e-3  # lr x added_lr_factor
  np.testing.assert_allclose(
    updates["quantizer"]["qv"], rate * np.array([16, 1, 0.05]), rtol=1e-4
  )
  np.testing.assert_allclose(
    updates["base"]["other"], -1e-3 * np.ones(3), rtol=1e-4
  )


def _base_only(steps=5, **settings):
  """The config with nothing but a base stage, which compiles fastest."""
  train = dict(levels_per_image=2, log_every=2, checkpoint_every=2)
  return from_dict(
    {
      "model": {"N": 4, "M": 6, "init": "wavelet"},
      "stages": {"base": {"steps": steps}},
      "optim": {"lr": 1e-3},
      "train": train | settings,
      "data": {"batch_size": 2, "crop_size": 64},
    }
  )


def _resident():
  """The data of `_batches`, on the device."""
  image = skimage.data.astronaut()[:128, :128]
  images = [image, image[::-1]]
  window = device_data.largest_square(images, 64, 2.0)
  resident = device_data.resident(device_data.pack(images), 64, window)

  def batches(step):
    return make_batches(
      device_data.shapes_of(images), crop_size=64, batch_size=2, seed=0,
      start_step=step, finish=device_data.to_row,
    )  # fmt: skip

  return batches, resident


@pytest.mark.parametrize("kind", ["images", "resident"])
def test_a_run_calls_the_step_with_the_shapes_that_a_plan_compiles(
  kind, tmp_path, monkeypatch
):
  class CalledError(Exception):
    pass

  def make(config, stage, cut):
    def update(*args):
      calls.append(jax.tree.map(lambda a: (a.shape, str(a.dtype)), args))
      raise CalledError

    return update

  calls = []
  monkeypatch.setattr("sclc_jax.train.loop.make_dispatch", make)
  config = _base_only(steps_per_dispatch=2)
  batches, resident, planned = _batches, None, ()
  if kind == "resident":
    batches, resident = _resident()
    planned = resident.data, device_data.ROW
  with pytest.raises(CalledError):
    train(config, tmp_path, batches, resident=resident, quiet=True)
  shapes = call_shapes(config, stages(config)[0], jax.device_count(), *planned)
  assert calls == [jax.tree.map(lambda a: (a.shape, str(a.dtype)), shapes)]


def test_several_steps_a_call_on_resident_data_resume_exactly(tmp_path):
  config = _base_only(steps_per_dispatch=2)
  batches, resident = _resident()

  def run(name, config, batches, resident, stop_at=None):
    step = train(
      config, tmp_path / name, batches, resident=resident, stop_at=stop_at,
      quiet=True,
    )  # fmt: skip
    return step, logged(tmp_path / name)

  whole, log = run("whole", config, batches, resident)
  assert whole == 5 and [row["step"] for row in log] == ["2", "4", "5"]
  assert run("parts", config, batches, resident, stop_at=1)[0] == 2
  assert run("parts", config, batches, resident) == (5, log)
  state, parts = (_final(tmp_path / n, config)[1] for n in ("whole", "parts"))
  jax.tree.map(np.testing.assert_array_equal, state, parts)
  # The host's crops, one step a call, are the same but for rounding.
  single = _base_only()
  run("host", single, _batches, None)
  start = new_state(single, stages(single)[0], None)["params"]
  states = state["params"], _final(tmp_path / "host", single)[1]["params"]
  moved, error = (
    np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(*map(jax.tree.leaves, p))))
    for p in ((states[1], start), states)
  )
  assert error < 0.05 * moved


def test_a_loop_over_levels_and_parts_trains_as_their_list_does(
  tmp_path, monkeypatch
):
  """Accelerators have the loop, and CPUs the list (`train.sums`)."""
  config = from_dict(
    {
      "model": {"N": 4, "M": 6, "init": "wavelet"},
      "stages": {"quantization": {"steps": 2}},
      "optim": {"lr": 1e-3},
      "train": {"levels_per_image": 2, "accumulate": 2},
      "data": {"batch_size": 2, "crop_size": 64},
    }
  )
  states = []
  for loop in (False, True):
    monkeypatch.setattr(sums, "_has_fast_loops", lambda loop=loop: loop)
    make_dispatch.cache_clear()
    train(config, tmp_path / str(loop), _batches, quiet=True)
    states.append(_final(tmp_path / str(loop), config)[1]["params"])
  make_dispatch.cache_clear()
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=2e-6), *states
  )


def test_intervals_must_fit_the_calls():
  with pytest.raises(ValueError, match="multiple of train.steps_per_dispatch"):
    _base_only(steps_per_dispatch=3)


def _losses(workdir) -> np.ndarray:
  with (workdir / "log.csv").open() as file:
    return np.array([float(row["loss"]) for row in csv.DictReader(file)])


def test_bfloat16_trains_as_float32_does(tmp_path):
  losses = {}
  for precision in ("float32", "bfloat16"):
    config, workdir = _base_only(12, precision=precision), tmp_path / precision
    train(config, workdir, _batches, quiet=True)
    state = _final(workdir, config)[1]
    dtypes = {str(leaf.dtype) for leaf in jax.tree.leaves(state["params"])}
    assert dtypes == {"float32"}
    losses[precision] = _losses(workdir)
  assert losses["float32"][-1] < 0.9 * losses["float32"][0]
  np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.03)


def test_bfloat16_trains_several_levels_of_all_stages(unbroken, tmp_path):
  settings = dataclasses.replace(_CONFIG.train, precision="bfloat16")
  config = dataclasses.replace(_CONFIG, train=settings)
  train(config, tmp_path, _batches, quiet=True)
  np.testing.assert_allclose(_losses(tmp_path), _losses(unbroken), rtol=0.05)


def test_best_state_of_the_last_stage_is_kept_and_survives_a_restart(tmp_path):
  config = from_dict(
    dataclasses.asdict(_CONFIG)
    | {
      "stages": {"base": {"steps": 3}, "quantization": {"steps": 5}},
      "train": dataclasses.asdict(_CONFIG.train) | {"validate_every": 2},
      "data": dataclasses.asdict(_CONFIG.data) | {"validation": "folder:x"},
    }
  )
  scores = {2: 1, 3: 2, 4: 4, 6: 3.5, 8: 6}  # the last stage starts at 3
  called = []

  def validator(model, params):
    step = list(scores)[len(called)]
    assert model.adaptive == (step > 3)
    called.append(params)
    row = {"quality": 1, "bytes": 10.0, "bpp": 0.0, "psnr_db": 30.0}
    return [row | {"distortion": scores[step] / config.train.lmbda_first}]

  for stop in (7, None):
    train(
      config, tmp_path, _batches, stop_at=stop, validator=validator, quiet=True
    )
  step, state = _final(tmp_path, config, "best")
  assert step == 6
  jax.tree.map(np.testing.assert_array_equal, state["params"], called[3])
  with (tmp_path / "validation.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [int(row["step"]) for row in rows] == list(scores)
  assert [float(row["score"]) for row in rows] == list(scores.values())


def test_a_best_state_that_is_damaged_or_later_is_set_aside(tmp_path, capsys):
  settings = dataclasses.replace(_base_only(6).train, validate_every=2)
  data = dataclasses.replace(_base_only().data, validation="folder:x")
  config = dataclasses.replace(_base_only(6), train=settings, data=data)

  def validator(model, params):
    row = {"quality": 8, "bytes": 10.0, "bpp": 0.1, "psnr_db": 30.0}
    validator.distortion -= 1
    return [row | {"distortion": validator.distortion}]

  validator.distortion = 100.0

  def run(**kw):
    train(config, tmp_path, _batches, validator=validator, quiet=True, **kw)
    return Checkpoints(tmp_path / "best").latest_step()

  assert run(stop_at=4) == 4
  (tmp_path / "best" / "4" / "state" / "manifest.ocdbt").write_bytes(b"")
  assert run() == 6
  assert "best/4, is incomplete: set aside" in capsys.readouterr().err
  validator.distortion = 200.0
  assert run(from_step=4) == 6  # a worse one, of the new course
  assert "best/6, is beyond step 4: set aside" in capsys.readouterr().err


@pytest.fixture
def broken_loss(monkeypatch):
  real = step.rate_distortion

  def broken(*args):
    loss, sums = real(*args)
    return loss * np.nan, sums

  monkeypatch.setattr(step, "rate_distortion", broken)


def test_non_finite_updates_are_skipped_and_counted(tmp_path, broken_loss):
  config = _base_only(steps=2)
  train(config, tmp_path, _batches, quiet=True)
  fresh = new_state(config, stages(config)[0], None)
  _, state = _final(tmp_path, config)
  assert int(state["skipped"]) == 2
  jax.tree.map(np.testing.assert_array_equal, state["params"], fresh["params"])


def test_a_run_without_finite_updates_stops_and_says_so(tmp_path, broken_loss):
  with pytest.raises(ValueError, match="diverged: none of the last 10 updates"):
    train(_base_only(steps=40), tmp_path, _batches, quiet=True)


def test_a_run_of_another_config_is_refused(unbroken):
  with pytest.raises(ValueError, match="another config .seed 0 instead of 1."):
    train(dataclasses.replace(_CONFIG, seed=1), unbroken, _batches, quiet=True)


def test_batches_do_not_depend_on_where_they_start():
  first = [b for b, _ in zip(_batches(0), range(5))]
  np.testing.assert_array_equal(next(_batches(4)), first[4])
  assert first[0].shape == (2, 64, 64, 3) and first[0].dtype == np.uint8


def test_folder_without_images_is_an_error(tmp_path):
  with pytest.raises(ValueError, match="no image of at least 64 pixels"):
    open_folder(tmp_path, 64)
  with pytest.raises(ValueError, match="not a folder"):
    open_folder(tmp_path / "missing", 64)


def test_the_bar_says_compiling(tmp_path, capsys):
  train(_CONFIG, tmp_path, _batches, stop_at=4)
  shown = capsys.readouterr().err
  assert "base: compiling" in shown
  assert "quantization: compiling" in shown
