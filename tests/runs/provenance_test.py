"""What a model says of the runs that trained it, and of the rates it has."""

import csv
import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.config import (
  DataConfig,
  ExperimentConfig,
  ModelConfig,
  StageConfig,
  StagesConfig,
)
from sclc_jax.runs import provenance
from sclc_jax.train.checkpoint import Checkpoints
from sclc_jax.train.stages import stages
from sclc_jax.train.state import new_state

CONFIG = ExperimentConfig(
  model=ModelConfig(N=4, M=6, init="wavelet"),
  stages=StagesConfig(
    base=StageConfig(steps=200), quantization=StageConfig(steps=100)
  ),
  data=DataConfig(source="folder:/home/me/photos", crop_size=64),
)


def _save(workdir, config, step, state, **meta):
  """A checkpoint and a log, as of a run that has come to `step`."""
  checkpoints = Checkpoints(workdir / "checkpoints")
  meta = meta | {"config": dataclasses.asdict(config)}
  checkpoints.save(step, state, meta)
  checkpoints.close()
  with (workdir / "log.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["step", "stage", "loss"])
    writer.writerows([i, "base", 1000.5 - i] for i in range(1, 301))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """Of a run that was stopped where its base stage ends."""
  folder = tmp_path_factory.mktemp("run")
  state = new_state(CONFIG, stages(CONFIG)[0], None)
  facts = provenance.facts(CONFIG, 12)
  _save(folder, CONFIG, 200, state, **facts)
  return folder


def test_a_run_is_told_without_paths_and_with_a_thin_log(workdir):
  (run,) = provenance.chain(workdir)
  assert run["config"]["model"]["N"] == 4
  assert run["config"]["data"]["source"] == "folder:photos"
  assert run["data"] == {"source": "folder:photos", "images": 12}
  assert run["hardware"]["count"] == jax.device_count()
  assert run["stages"]["base"] == {"done": 200, "planned": 200}
  assert run["stages"]["quantization"] == {"done": 0, "planned": 100}
  assert provenance.describe_stages(run) == (
    "base 200, quantization 0 of 100 steps"
  )
  rows = run["log"]["rows"]
  assert len(rows) == 50 and rows[-1] == [200, "base", 800.5]
  assert "/home" not in json.dumps(run, allow_nan=False)
  assert provenance.chain(workdir) == [run]


def test_a_run_carries_the_chain_of_what_it_starts_from(
  workdir, tiny_model, tmp_path
):
  next_run = dataclasses.replace(CONFIG, init_from=str(workdir))
  facts = provenance.facts(next_run, 5)
  _save(tmp_path, next_run, 1, {"x": np.zeros(1)}, **facts)
  first, second = provenance.chain(tmp_path)
  assert [first] == provenance.chain(workdir)
  assert second["parent"] == workdir.name and second["data"]["images"] == 5
  model = dataclasses.replace(tiny_model, provenance=(first, second))
  save_model(model, tmp_path / "m.sclcm")
  from_model = dataclasses.replace(CONFIG, init_from=str(tmp_path / "m.sclcm"))
  facts = provenance.facts(from_model, 5)
  assert facts["ancestors"] == [first, second]
  assert facts["run"]["parent"] == tiny_model.fingerprint.hex()


def test_checkpoints_of_older_releases_tell_what_they_have(tmp_path):
  _save(tmp_path, CONFIG, 7, {"x": np.zeros(1)})
  (run,) = provenance.chain(tmp_path)
  assert run.keys() == {"config", "stages", "log"}


def test_provenance_is_kept_beside_the_fingerprint(tiny_model, tmp_path):
  told = dataclasses.replace(tiny_model, provenance=({"stages": {}},))
  save_model(told, tmp_path / "m.sclcm")
  kept = read_model(tmp_path / "m.sclcm")
  assert kept.provenance == told.provenance
  assert kept.fingerprint == tiny_model.fingerprint
  wrong = dataclasses.replace(tiny_model, provenance=("text",))
  save_model(wrong, tmp_path / "m.sclcm")
  with pytest.raises(ValueError, match="m.sclcm.*provenance"):
    read_model(tmp_path / "m.sclcm")


def test_a_run_without_its_quantizer_is_exported_only_where_its_step_is_named(
  workdir, photo, tmp_path, capsys
):
  out, image = tmp_path / "m.sclcm", tmp_path / "a.png"
  command = ["export", "--workdir", str(workdir), "-o", str(out)]
  assert cli.main(command) == 1
  error = capsys.readouterr().err
  assert "quantization 0 of 100" in error and "--step 200" in error
  assert not out.exists()
  assert not cli.main([*command, "--step", "200"])
  text = capsys.readouterr().out
  assert "one rate, that of quality 8" in text and "base 200" in text
  model = read_model(out)
  assert model.provenance == tuple(provenance.chain(workdir))
  codec = Codec(model)
  low, high = (codec.compress(photo[:64, :64], q) for q in (1, 8))
  assert len(low) == len(high)
  assert codec.info(low)["rates"] == model.rates
  Image.fromarray(photo[:64, :64]).save(image)
  assert not cli.main(["compress", str(image), "--model", str(out)])
  assert "--quality changes nothing" in capsys.readouterr().err


def test_a_run_that_never_meant_several_rates_is_exported(workdir, tmp_path):
  config = dataclasses.replace(
    CONFIG, stages=StagesConfig(base=StageConfig(steps=200))
  )
  checkpoints = Checkpoints(workdir / "checkpoints")
  state = checkpoints.restore(
    200, jax.eval_shape(lambda: new_state(config, stages(config)[0], None))
  )[0]
  checkpoints.close()
  _save(tmp_path, config, 200, state)
  out = tmp_path / "m.sclcm"
  assert not cli.main(["export", "--workdir", str(tmp_path), "-o", str(out)])
  assert read_model(out).is_single_rate
