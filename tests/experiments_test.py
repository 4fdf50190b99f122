"""Every config can be trained, every bench starts."""

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest
from PIL import Image

from sclc_jax.codec.model.fast_file import save_fast
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.codec.model.shipped import shipped_models
from sclc_jax.config import ExperimentConfig, ModelConfig, stage_model
from sclc_jax.malloc import VARIABLES
from sclc_jax.models.variable_rate import init_params
from sclc_jax.runs.experiment import load_config
from sclc_jax.runs.sweep import load_sweep
from sclc_jax.train.stages import stages

_ROOT = pathlib.Path(__file__).parents[1] / "experiments"
_MODEL = pathlib.Path(__file__).parent / "golden" / "v1" / "model.sclcm"
# Not those that other benches start, in an environment with PyTorch.
_BENCHES = [
  path.stem
  for path in sorted((_ROOT / "bench").glob("*.py"))
  if "__main__" in path.read_text() and not path.stem.startswith("peer_")
]


def _configs() -> dict[str, ExperimentConfig]:
  """Those of experiments/, and the points of its sweeps."""
  configs = {path.stem: load_config(path) for path in _ROOT.glob("*.py")}
  for path in (_ROOT / "sweeps").glob("*.py"):
    for name, config in load_sweep(path).items():
      configs[f"{path.stem}/{name}"] = config
  return configs


@functools.cache
def _shapes(model: ModelConfig) -> dict:
  return jax.eval_shape(lambda: init_params(model, 0))


def test_each_stage_of_every_config_and_sweep_can_be_built():
  configs = _configs()
  assert len(configs) > 6
  for config in configs.values():
    for stage in stages(config):
      model = stage_model(config, stage.name)
      shapes = _shapes(model)
      kernel = shapes["base"]["analysis"]["conv_3"]["kernel"]
      assert kernel.shape[-2:] == (model.N, model.M)
      assert ("selector" in shapes) == model.selective


def test_every_config_starts_from_what_everybody_has():
  for name, config in _configs().items():
    assert config.init_from in ("", *shipped_models()), name


_DRIVER = """
import contextlib, io, json, runpy, sys, traceback
sys.path.insert(0, sys.argv[1])
done = []
for bench, arguments in json.load(sys.stdin):
  out, status = io.StringIO(), 0
  sys.argv = [f"{bench}.py", *arguments]
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
    try:
      runpy.run_path(f"{sys.path[0]}/{bench}.py", run_name="__main__")
    except SystemExit as end:
      status = end.code or 0
    except Exception:
      status = 1
      traceback.print_exc()
  done.append([status, out.getvalue()])
print(json.dumps(done))
"""


def _run_all(commands: list[tuple[str, list[str]]]) -> list[tuple[int, str]]:
  """(status, output) of benches, one after the other in one process."""
  env = os.environ | {VARIABLES[1]: "1", "COLUMNS": "80"}  # no malloc tuning
  done = subprocess.run(
    [sys.executable, "-c", _DRIVER, str(_ROOT / "bench")],
    input=json.dumps(commands), env=env, capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


def test_every_bench_tells_its_flags_and_their_defaults():
  commands = [(name, ["--help"]) for name in _BENCHES]
  for name, (status, text) in zip(_BENCHES, _run_all(commands)):
    assert status == 0, text
    usage, _, flags = text.partition("options:")
    assert usage.startswith(f"usage: {name}.py")
    for part in flags.replace("\n  -", "\0").split("\0")[2:]:  # not --help
      words = part.split()
      assert len(words) > 2, (name, part)
      required = f"[-{words[0]}" not in usage and f"(-{words[0]}" not in usage
      assert required or "(default:" in " ".join(words), (name, part)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photo) -> pathlib.Path:
  folder = tmp_path_factory.mktemp("bench")
  (folder / "images").mkdir()
  for i in range(2):
    Image.fromarray(photo[:, 16 * i :]).save(folder / "images" / f"{i}.png")
  fast = init_params(ModelConfig(N=8, M=12, fast=True), 0)["fast_synthesis"]
  model = dataclasses.replace(read_model(_MODEL), fast=fast)
  save_model(model, folder / "model.sclcm")
  save_fast(model, folder / "model.fast.sclcm")
  return folder


def test_benches_that_take_seconds_run(folder):
  model = ["--model", str(folder / "model.sclcm")]
  both = ["--images", str(folder / "images"), *model]
  fit = ["--fit", str(folder / "images")]
  tiny = ["--N", "4", "--M", "6", "--repeats", "1"]
  size = ["--width", "64", "--height", "64"]
  out = str(folder / "exact")
  commands = [
    ("exactness", [*model, "write", *both[:2], "--out", out, "--bfloat16"]),
    ("exactness", [*model, "check", out]),
    ("rate", [*both, "--quality", "4", "--limit", "1"]),
    ("rate_control", [*both, "--limit", "1", "--kinds", "bpp"]),
    ("fit_rate_control", [*both, "--output", str(folder / "curves.npz")]),
    ("quality_map", [*both, "--limit", "1"]),
    ("encoder", [*both, "--weights", "0", "0.04", "--crop", "64"]),
    ("selection", [*both, *fit, "--improbable", "0", "0.01", "--crop", "64"]),
    ("floor", [*both, *fit]),
    ("fast_decoder", [*both, "--repeats", "1"]),
    ("decoding", [*both, "--limit", "1", "--repeats", "1"]),
    ("coder", ["--cases", "20"]),
    ("codec_speed", [*tiny, *size]),
    ("models_speed", ["--image", str(folder / "images" / "0.png"),
                      "--models", model[1], model[1], "--rounds", "1"]),
    ("bases_speed", [*tiny, *size, "--base", "context"]),
    ("train_step", [*tiny, "--batch", "2", "--size", "64"]),
  ]  # fmt: skip
  outputs = _run_all(commands)
  for (name, arguments), (status, text) in zip(commands, outputs):
    assert status == 0 and text.strip(), (name, arguments, text)
  checked = outputs[1][1]
  assert "files that differ: z 0, mask 0, index 0, y 0" in checked
  assert "largest pixel difference: 0" in checked
