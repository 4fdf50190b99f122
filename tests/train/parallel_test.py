"""One device, many devices and several processes train the same."""

import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax.config import ModelConfig
from sclc_jax.experiment import load_checkpoint
from sclc_jax.models.variable_rate import init_params

CONFIG = """
from sclc_jax.config import default_config_dict
def get_config():
  config = default_config_dict()
  config.model.N, config.model.M = 4, 6
  config.model.init, config.model.table_init = "wavelet", "geometric"
  config.stages.base.steps = 6
  config.stages.quantization.steps = 6
  config.stages.selective.steps = 8
  config.optim.lr, config.optim.clip_norm = 1e-3, 10.0
  config.optim.ema_decay = 0.9
  config.train.levels_per_image, config.train.log_every = 1, 5
  config.train.checkpoint_every = 4
  config.data.source, config.data.crop_size = "folder:photos", 64
  config.data.batch_size = 8
  return config
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp("parallel")
  (folder / "c.py").write_text(CONFIG)
  (folder / "photos").mkdir()
  for i in range(3):
    image = skimage.data.astronaut()[64 * i : 64 * i + 128, 100:300]
    Image.fromarray(image).save(folder / "photos" / f"{i}.png")
  return folder


def _start(folder, workdir, devices, *args) -> subprocess.Popen:
  env = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", JAX_PLATFORMS="cpu")
  env["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
  command = [sys.executable, "-m", "sclc_jax.cli", "train", "--config", "c.py"]
  command += ["--workdir", workdir, "--quiet", *map(str, args)]
  return subprocess.Popen(
    command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True
  )


def _finish(*processes: subprocess.Popen) -> None:
  for process in processes:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def _train(folder, workdir, devices, *args) -> None:
  _finish(_start(folder, workdir, devices, *args))


def _train_two_processes(folder, workdir, *args) -> None:
  with socket.socket() as free:
    free.bind(("localhost", 0))
    address = f"localhost:{free.getsockname()[1]}"
  cluster = ("--coordinator", address, "--processes", 2, "--process")
  _finish(*(_start(folder, workdir, 2, *args, *cluster, i) for i in range(2)))


def _leaves(folder, workdir) -> list[np.ndarray]:
  return jax.tree.leaves(load_checkpoint(folder / workdir)[1])


def _assert_close(found, wanted) -> None:
  """The runs differ by at most 2 % of what training changed.

  Not less: where a gradient is all but zero, Adam's step is its sign, and so
  the order of its sums.
  """
  start = jax.tree.leaves(init_params(ModelConfig(
    N=4, M=6, init="wavelet", table_init="geometric"), 0))  # fmt: skip

  def distance(a, b):
    return np.sqrt(sum(np.sum((x - y) ** 2) for x, y in zip(a, b, strict=True)))

  assert distance(found, wanted) <= 0.02 * distance(wanted, start)


@pytest.fixture(scope="module")
def one_device(folder) -> list[np.ndarray]:
  _train(folder, "one", 1)
  return _leaves(folder, "one")


def test_eight_devices_train_as_one_does(folder, one_device):
  _train(folder, "eight", 8)
  _assert_close(_leaves(folder, "eight"), one_device)


def test_two_processes_of_two_devices_train_as_one_does_and_resume(
  folder, one_device
):
  _train_two_processes(folder, "two", "--stop-at", 9)
  _train_two_processes(folder, "two")
  _assert_close(_leaves(folder, "two"), one_device)
  steps = [
    line.split(",")[0]
    for line in (folder / "two" / "log.csv").read_text().splitlines()[1:]
  ]
  assert sorted(set(steps), key=int) == steps and steps[-1] == "20"


def test_accumulation_and_remat_change_nothing_but_memory(folder, one_device):
  _train(
    folder, "parts", 2, "--config.train.accumulate=2",
    "--config.train.remat=true",
  )  # fmt: skip
  _assert_close(_leaves(folder, "parts"), one_device)
