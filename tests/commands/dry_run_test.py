"""What `sclc train --dry-run` tells, and that it changes nothing."""

import re

import jax
import numpy as np
import pytest
from cli_runs import RECIPE, run

from sclc_jax.config import stage_model
from sclc_jax.files import write_whole
from sclc_jax.images import png_bytes
from sclc_jax.models.variable_rate import init_params
from sclc_jax.runs.experiment import load_config

_TRAIN = ("train", "--config", "c.py", "--workdir", "w", "--quiet",
          "--config.stages.quantization.steps=2")  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
  """The current folder: c.py, two photos that are large enough, one not."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "cache"))
  (tmp_path / "c.py").write_text(RECIPE)
  for name, size in (("a", 80), ("b", 64), ("small", 40)):
    data = png_bytes(np.ascontiguousarray(photo[:size, :size]))
    write_whole(f"photos/{name}.png", data, make_folder=True)
  return tmp_path


def _contents(folder) -> dict:
  """Of a folder, but for Python's byte code of the config."""
  return {
    path: path.is_dir() or path.read_bytes()
    for path in folder.rglob("*")
    if "__pycache__" not in path.parts
  }


def test_it_tells_the_model_the_data_and_the_stages_and_writes_nothing(folder):
  before = _contents(folder)
  done = run(*_TRAIN, "--dry-run")
  assert (done.code, done.err) == (0, "")
  assert _contents(folder) == before
  text = done.out.decode()
  config = stage_model(load_config("c.py", _TRAIN[-1:]), "quantization")
  size = sum(x.size for x in jax.tree.leaves(init_params(config, 0)))
  head, _, parts = text.splitlines()[0].partition(" parameters: ")
  numbers = [part.split()[1].replace(",", "") for part in parts.split(", ")]
  assert head.endswith(f" {size:,}") and sum(map(int, numbers)) == size
  assert "data: folder:photos, 2 images\n" in text
  assert "batch: 1 crops of 64x64, 1 on each of 1 x cpu\n" in text
  assert re.search(r"stage base: 3 steps, to step 3; trains [\d,]+ param", text)
  assert "stage quantization: 2 steps, to step 5; trains" in text
  assert "workdir: w, a new run of 5 steps\n" in text
  assert re.search(r"\nmemory GiB +\d", text) and "fits" in text
  assert text.endswith("\nnothing was started\n")


def test_it_tells_what_would_resume_and_what_is_refused(folder):
  assert run(*_TRAIN, "--stop-at", 2).code == 0
  before = _contents(folder)
  done = run(*_TRAIN, "--dry-run")
  assert "workdir: w, resumes from step 2 of 5\n" in done.out.decode()
  assert re.search(r"time left: \S+ hours at \S+ images/s", done.out.decode())
  assert "it will say: resumed from step 2 of 5 (stage base)" in done.err
  for line, text in (
    ("--config.optim.lr=0.5", "holds a run of another config"),
    ("--step 7", "no checkpoint of step 7; it has 1, 2"),
    ("--profile 0:2", "lies outside of this run, which trains from step 2"),
    ("--coordinator localhost:1", "devices of this machine alone"),
    ("--config.data.source=folder:c.py", "is not a folder"),
  ):
    done = run(*_TRAIN, "--dry-run", *line.split())
    assert (done.code, done.out) == (1, b"") and text in done.err, done.err
  assert _contents(folder) == before
