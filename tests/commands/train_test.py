"""A run that was stopped, lost a part of its checkpoint, and goes on."""

import os
import shutil
import signal

import numpy as np
import pytest
from cli_runs import RECIPE, run
from PIL import Image

from sclc_jax.train.logs import TrainingLog


def test_a_run_goes_on_from_the_last_whole_checkpoint(
  tmp_path, monkeypatch, photo
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "c.py").write_text(RECIPE)
  (tmp_path / "photos").mkdir()
  Image.fromarray(np.ascontiguousarray(photo[:80, :96])).save("photos/a.png")
  train = ("train", "--config", "c.py", "--workdir", "w", "--quiet")
  export = ("export", "--workdir", "w", "-o", "m.sclcm")

  done = run(*train, "--stop-at", 2)
  text = "stopped at step 2 of 3; the same command without --stop-at resumes"
  assert (done.code, done.out.decode()) == (0, f"{text}, w\n")
  assert not done.err
  shutil.rmtree(tmp_path / "w" / "checkpoints" / "2" / "state")
  for command in (train, export):
    done = run(*command)
    assert done.code == 1 and not done.out
    assert done.err == (
      f"sclc {command[0]}: error: {tmp_path}/w/checkpoints/2 is incomplete; "
      "the last whole checkpoint is step 1: --step 1 takes it.\n"
    )
  assert run(*export, "--step", 1).code == 0
  done = run(*train, "--step", 1, "--config.train.log_every=2")
  assert (done.code, done.out.decode()) == (0, "finished: step 3, w\n")
  moved, resumed = done.err.splitlines()
  assert moved.startswith("set aside the checkpoints after step 1: 2, now in ")
  assert resumed == (
    "resumed from step 1 of 3 (stage base); train.log_every is 2, was 1"
  )
  assert run(*export).code == 0


@pytest.mark.parametrize(
  ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)]
)
def test_a_signal_stops_a_run_with_a_line_and_a_code(
  tmp_path, monkeypatch, photo, number, code
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "c.py").write_text(RECIPE)
  (tmp_path / "photos").mkdir()
  Image.fromarray(np.ascontiguousarray(photo[:80, :96])).save("photos/a.png")
  write = TrainingLog.write

  def write_and_signal(log, row):
    write(log, row)
    if row["step"] == 1:
      signal.raise_signal(number)

  monkeypatch.setattr(TrainingLog, "write", write_and_signal)
  monkeypatch.setattr(os, "write", lambda *unused: 0)  # on the real stderr
  train = ("train", "--config", "c.py", "--workdir", "w", "--quiet")
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    done = run(*train)
  finally:
    signal.signal(signal.SIGINT, before)
  text = "stopped at step 2 of 3; the same command resumes"
  assert done.code == code and text in done.out.decode() + done.err
  done = run(*train)
  assert (done.code, done.out.decode()) == (0, "finished: step 3, w\n")
