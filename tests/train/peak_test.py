"""The share of a device's peak that training reaches."""

import csv
import dataclasses

import jax
import pytest
from runs import batches

from sclc_jax.config import from_dict
from sclc_jax.plan import work
from sclc_jax.plan.chips import Chip
from sclc_jax.train import reports
from sclc_jax.train.loop import train
from sclc_jax.train.stages import stages
from sclc_jax.train.step import call_shapes, make_dispatch

_CONFIG = from_dict(
  {
    "model": {"N": 4, "M": 6, "levels": 2, "init": "wavelet"},
    "stages": {"base": {"steps": 6}},
    "train": {"log_every": 2, "checkpoint_every": 6, "steps_per_dispatch": 2},
    "data": {"batch_size": 2, "crop_size": 64},
  }
)
_CHIP = Chip("made up", 4e12, 1e9, 1.0, 1.0)


def test_the_share_is_the_work_of_a_step_over_what_the_device_could_do(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(reports, "known_chip", lambda device: _CHIP)
  assert train(_CONFIG, tmp_path, batches, quiet=True) == 6
  with (tmp_path / "log.csv").open() as file:
    rows = [row for row in csv.DictReader(file) if row["step_ms"]]
  single = dataclasses.replace(
    _CONFIG, train=dataclasses.replace(_CONFIG.train, steps_per_dispatch=1)
  )
  stage = stages(single)[0]
  step = make_dispatch(single, stage)
  flops = work.count(jax.make_jaxpr(step)(*call_shapes(single, stage, 1)))
  assert rows and flops > 1e6
  for row in rows:
    seconds = float(row["step_ms"]) / 1000
    share = flops / (seconds * _CHIP.flops_float32)
    assert float(row["peak_share"]) == pytest.approx(share, rel=1e-4)
