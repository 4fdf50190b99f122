"""A sweep from its file to its table, and validation by real rate."""

import csv

import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli, load_codec
from sclc_jax.runs import experiment, sweep

pytestmark = pytest.mark.usefixtures("compile_anew")

_SWEEP = """
from sclc_jax.config import default_config_dict
def get_sweep():
  sweep = {}
  for iqv in ("separate", "shared"):
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
  sweep = ("sweep", "sweep.py", "--images", "images", "--workdir", "w")
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(folder)
    for index in (1, 0):  # as array jobs, in whatever order
      _run(*sweep, "--index", index, "--quiet", "--quality", 1, 4, 6, 8)
  return folder


def test_points_run_by_index_end_in_one_table_and_plot(folder):
  names = [row["point"] for row in _rows(folder / "w" / "summary.csv")]
  assert names == ["separate", "shared"]
  assert float(_rows(folder / "w/summary.csv")[0]["bd_rate_percent"]) == 0
  assert (folder / "w" / "rd.png").stat().st_size > 1000
  for name in names:
    rows = _rows(folder / "w" / name / "rd.csv")
    assert [float(r["quality"]) for r in rows] == [1, 4, 6, 8] * 2


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
  found = [float(row["bytes"]) for row in rows if row["step"] == best]
  np.testing.assert_array_equal(found, sizes)


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


def _write_point(workdir, name, factor) -> None:
  (workdir / name).mkdir(parents=True)
  lines = ["image,quality,bpp,psnr_db,selected_fraction"]
  lines += [f"MEAN,{q},{factor * q},{30 + q},0.5" for q in (1, 2, 3, 4)]
  (workdir / name / "rd.csv").write_text("\n".join(lines) + "\n")


def test_bd_rates_wait_for_the_first_point_of_the_sweep(tmp_path):
  names = ["a", "b", "c"]
  _write_point(tmp_path, "b", 1.0)
  _write_point(tmp_path, "c", 1.2)
  text = sweep.summarise(names, tmp_path)
  assert "the first point, a, is not done yet" in text.splitlines()[-1]
  found = [r["bd_rate_percent"] for r in _rows(tmp_path / "summary.csv")]
  assert found == ["nan", "nan"]
  _write_point(tmp_path, "a", 0.8)
  assert "not done" not in sweep.summarise(names, tmp_path)
  found = [float(r["bd_rate_percent"]) for r in _rows(tmp_path / "summary.csv")]
  np.testing.assert_allclose(found, [0, 25, 50], atol=1e-6)


def test_a_summary_is_replaced_whole(tmp_path):
  _write_point(tmp_path, "a", 1.0)
  sweep.summarise(["a"], tmp_path)
  paths = [tmp_path / name for name in ("summary.csv", "rd.png")]
  whole = [path.read_bytes() for path in paths]
  files = [path.open("rb") for path in paths]
  _write_point(tmp_path, "b", 1.2)
  sweep.summarise(["a", "b"], tmp_path)
  for path, old, file in zip(paths, whole, files):
    with file:  # who reads the old one still does
      assert file.read() == old != path.read_bytes()
