"""A sweep from its file to its table, and validation by real rate."""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli, load_codec
from sclc_jax.codec.model.model_file import read_model
from sclc_jax.config import from_dict
from sclc_jax.evaluation import plots
from sclc_jax.runs import experiment, sweep

pytestmark = pytest.mark.usefixtures("compile_anew")

_SWEEP = """
from beside import IQV
from sclc_jax.config import default_config_dict
def get_sweep():
  sweep = {}
  for iqv in IQV:
    config = sweep[iqv] = default_config_dict()
    config.model.N, config.model.M, config.model.iqv = 4, 6, iqv
    config.model.init, config.model.table_init = "wavelet", "geometric"
    config.stages.base.steps, config.stages.quantization.steps = 0, 2
    config.train.levels_per_image = 1
    config.train.validate_every = 1
    config.data.batch_size, config.data.crop_size = 2, 64
    config.data.source = config.data.validation = "folder:images"
  return sweep
"""


def _run(*args) -> None:
  assert cli.main([str(arg) for arg in args]) == 0


def _rows(path) -> list[dict[str, str]]:
  with open(path, newline="") as file:
    return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photo):
  folder = tmp_path_factory.mktemp("sweep")
  (folder / "images").mkdir()
  Image.fromarray(photo[:, :128]).save(folder / "images" / "a.png")
  (folder / "sweep.py").write_text(_SWEEP)
  (folder / "beside.py").write_text("IQV = 'separate', 'shared'")
  sweep = ("sweep", "sweep.py", "--images", "images", "--workdir", "w")
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(folder)
    for point in (("--index", 1), ("--point", "separate")):  # as array jobs
      _run(*sweep, *point, "--quiet", "--quality", 1, 4, 6, 8)
  return folder


def test_points_run_by_index_end_in_one_table_and_plot(folder):
  names = [row["point"] for row in _rows(folder / "w" / "summary.csv")]
  assert names == ["separate", "shared"]
  assert float(_rows(folder / "w/summary.csv")[0]["bd_rate_percent"]) == 0
  assert (folder / "w" / "rd.png").stat().st_size > 1000
  for name in names:
    rows = _rows(folder / "w" / name / "rd.csv")
    assert [float(r["quality"]) for r in rows] == [1, 4, 6, 8] * 2


_QUICK = ("--quiet", "--quality", "1", "4", "6", "8")


@pytest.fixture
def rerun(folder, tmp_path, monkeypatch):
  """Runs the sweep on a copy of its folder, whose points must not train."""
  shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
  monkeypatch.chdir(tmp_path)
  sweep = ("sweep", "sweep.py", "--images", "images", "--workdir", "w")
  return lambda *args: cli.main([*sweep, *args])


def _forbid(monkeypatch, function) -> None:
  def forbidden(*args, **kwargs):
    raise AssertionError("called")

  monkeypatch.setattr(function, forbidden)


def test_points_that_are_measured_as_wanted_are_left_as_they_are(
  rerun, monkeypatch, capsys
):
  _forbid(monkeypatch, "sclc_jax.runs.experiment.load_checkpoint")
  assert rerun(*_QUICK) == 0
  assert "left out" not in capsys.readouterr().out


def test_other_qualities_are_measured_and_nothing_trained_again(
  rerun, monkeypatch, capsys
):
  _forbid(monkeypatch, "sclc_jax.runs.experiment.run")
  assert rerun("--quiet", "--quality", "2", "3", "--point", "shared") == 0
  table = capsys.readouterr().out
  assert "left out: separate, which has qualities 1 4 6 8 instead of 2 3" in (
    table
  )
  assert [float(r["quality"]) for r in _rows("w/shared/rd.csv")] == [2, 3] * 2
  assert [r["point"] for r in _rows("w/summary.csv")] == ["shared"]


def test_other_images_are_measured_and_nothing_trained_again(
  rerun, monkeypatch, capsys, photo
):
  _forbid(monkeypatch, "sclc_jax.runs.experiment.run")
  before = _rows("w/separate/rd.csv")
  Image.fromarray(photo[::-1, :64]).save("images/a.png")
  assert rerun(*_QUICK, "--index", "0") == 0
  assert _rows("w/separate/rd.csv") != before
  assert "left out: shared, which has other images (a.png" in (
    capsys.readouterr().out
  )


def test_a_point_of_another_config_is_refused_and_the_keys_are_named(
  rerun, capsys
):
  before = pathlib.Path("w/separate/rd.csv").read_bytes()
  assert rerun(*_QUICK, "--config.optim.lr=0.002") == 1
  assert "optim.lr 5e-05 instead of 0.002" in capsys.readouterr().err
  assert pathlib.Path("w/separate/rd.csv").read_bytes() == before


def test_the_record_names_the_model_that_was_measured(folder):
  record = json.loads((folder / "w/shared/measured.json").read_text())
  model = read_model(folder / "w/shared/model.sclcm")
  assert record["model"] == model.fingerprint.hex()


def test_a_point_that_does_not_exist_is_told_from_those_that_do(rerun, capsys):
  assert rerun("--point", "joint") == 1
  assert "--point joint is none of separate, shared" in capsys.readouterr().err


def test_images_without_an_image_are_refused_before_any_training(
  rerun, capsys, tmp_path
):
  (tmp_path / "empty").mkdir()
  assert rerun("--images", "empty", "--workdir", "new") == 1
  assert "empty has no image" in capsys.readouterr().err
  assert not (tmp_path / "new").exists()


def test_validation_reports_the_bytes_of_the_files_that_best_writes(
  folder, photo
):
  workdir = folder / "w" / "separate"
  rows = _rows(workdir / "validation.csv")
  assert [(int(r["step"]), int(r["quality"])) for r in rows] == [
    (step, quality) for step in (1, 2) for quality in range(1, 9)
  ]
  best = min(rows, key=lambda row: float(row["score"]))["step"]
  _run("export", "--workdir", workdir, "--best", "-o", folder / "best.sclcm")
  codec = load_codec(str(folder / "best.sclcm"))
  sizes = [len(codec.compress(photo[:, :128], q)) for q in range(1, 9)]
  actual = [float(row["bytes"]) for row in rows if row["step"] == best]
  np.testing.assert_array_equal(actual, sizes)


def test_best_needs_a_run_that_validated(folder, capsys, tmp_path):
  args = ("export", "--workdir", tmp_path, "--best", "-o", tmp_path / "m.sclcm")
  assert cli.main([str(arg) for arg in args]) == 1
  assert "train.validate_every" in capsys.readouterr().err


def test_a_point_that_was_stopped_is_not_taken_for_done(
  folder, capsys, monkeypatch
):
  monkeypatch.chdir(folder)
  monkeypatch.setattr(experiment, "run", lambda *args, **kwargs: 1)
  args = ("sweep", "sweep.py", "--images", "images", "--workdir", "stopped")
  assert cli.main(list(args)) == 1
  assert "step 1 of 2" in capsys.readouterr().err
  assert not (folder / "stopped" / "summary.csv").exists()


_WANTED = sweep.Measurement(
  from_dict({"stages": {"base": {"steps": 1}}}), (1.0, 2.0, 3.0, 4.0), {}
)


def _write_point(workdir, name, factor) -> None:
  (workdir / name).mkdir(parents=True)
  lines = ["image,quality,bpp,psnr_db,selected_fraction"]
  lines += [f"MEAN,{q},{factor * q},{30 + q},0.5" for q in (1, 2, 3, 4)]
  (workdir / name / "rd.csv").write_text("\n".join(lines) + "\n")
  _WANTED.write(workdir / name, b"")


def test_bd_rates_wait_for_the_first_point_of_the_sweep(tmp_path):
  wanted = dict.fromkeys("abc", _WANTED)
  _write_point(tmp_path, "b", 1.0)
  _write_point(tmp_path, "c", 1.2)
  text = sweep.summarise(wanted, tmp_path)
  assert "the first point, a, is not done yet" in text.splitlines()[-1]
  rates = [r["bd_rate_percent"] for r in _rows(tmp_path / "summary.csv")]
  assert rates == ["nan", "nan"]
  _write_point(tmp_path, "a", 0.8)
  assert "not done" not in sweep.summarise(wanted, tmp_path)
  rates = [float(r["bd_rate_percent"]) for r in _rows(tmp_path / "summary.csv")]
  np.testing.assert_allclose(rates, [0, 25, 50], atol=1e-6)


def test_a_point_that_another_task_ends_meanwhile_is_in_the_summary(
  tmp_path, monkeypatch
):
  plot = plots.plot_rd

  def plot_while_another_task_ends(*args):
    plot(*args)
    if not (tmp_path / "b").exists():
      _write_point(tmp_path, "b", 1.2)

  monkeypatch.setattr(plots, "plot_rd", plot_while_another_task_ends)
  _write_point(tmp_path, "a", 1.0)
  text = sweep.summarise(dict.fromkeys("ab", _WANTED), tmp_path)
  assert len(text.splitlines()) == 3
  assert [r["point"] for r in _rows(tmp_path / "summary.csv")] == ["a", "b"]


def test_a_summary_is_replaced_whole(tmp_path):
  _write_point(tmp_path, "a", 1.0)
  sweep.summarise({"a": _WANTED}, tmp_path)
  paths = [tmp_path / name for name in ("summary.csv", "rd.png")]
  whole = [path.read_bytes() for path in paths]
  files = [path.open("rb") for path in paths]
  _write_point(tmp_path, "b", 1.2)
  sweep.summarise(dict.fromkeys("ab", _WANTED), tmp_path)
  for path, old, file in zip(paths, whole, files):
    with file:  # who reads the old one still does
      assert file.read() == old != path.read_bytes()
