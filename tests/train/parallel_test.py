"""One device, many devices and several processes train the same."""

import os
import pathlib
import socket
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image
from runs import final, logged

from sclc_jax.runs.experiment import load_config

CONFIG = """
from sclc_jax.config import default_config_dict
def get_config():
  config = default_config_dict()
  config.model.N, config.model.M = 4, 6
  config.model.levels = 2
  config.model.init, config.model.table_init = "wavelet", "geometric"
  config.stages.base.steps, config.stages.selective.steps = 0, 40
  config.optim.lr, config.optim.ema_decay = 1e-3, 0.9
  config.train.levels_per_image, config.train.log_every = 1, 5
  config.train.checkpoint_every = 5
  config.data.source, config.data.crop_size = "folder:photos", 64
  config.data.batch_size = 8
  return config
"""

# A run of which the first process alone gets SIGTERM, just as a stage ends.
STOPPED_BETWEEN_STAGES = """
import itertools, signal, sys, types
import numpy as np
from sclc_jax.runs.experiment import load_config
from sclc_jax.train import parallel
from sclc_jax.train.loop import train
parallel.initialize(sys.argv[1], 2, int(sys.argv[2]))
stages = ["--config.stages.base.steps=1", "--config.stages.selective.steps=1"]
config = load_config("c.py", [*stages, "--config.data.batch_size=2"])
pictures = types.SimpleNamespace(
  views=lambda *_: signal.raise_signal(signal.SIGTERM)
)
crops = itertools.repeat(np.zeros((1, 64, 64, 3), np.uint8))
print(train(config, "between", lambda _: crops, pictures=pictures, quiet=True))
"""

# Writing the first one takes longer than coming to the second one.
SAVED_TO_TWO_FOLDERS = """
import sys
import numpy as np
from sclc_jax.train import parallel
from sclc_jax.train.checkpoint import Checkpoints
parallel.initialize(sys.argv[1], 2, int(sys.argv[2]))
both = [Checkpoints(f"twice/{name}") for name in ("best", "checkpoints")]
state = {"large": np.random.default_rng(0).normal(size=2**22)}
for checkpoints in both:
  checkpoints.save(1, state, {})
for checkpoints in both:
  checkpoints.close()
print([checkpoints.latest_step() for checkpoints in both])
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


def _start(folder, workdir, devices, *args, **env) -> subprocess.Popen:
  command = ["-m", "sclc_jax.cli", "train", "--config", "c.py"]
  command += ["--workdir", workdir, "--quiet", *map(str, args)]
  return _python(folder, command, devices, **env)


def _python(folder, args, devices, **env) -> subprocess.Popen:
  env = os.environ | env
  env |= {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
  # Only process 0 fills JAX's compilation cache; if it alone then finds
  # programs there, it waits for the others, and Gloo gives up after 30 s.
  env["JAX_ENABLE_COMPILATION_CACHE"] = "false"
  env["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
  return subprocess.Popen(
    [sys.executable, *args],
    cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    text=True,
  )  # fmt: skip


def _finish(*processes: subprocess.Popen) -> None:
  for process in processes:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def _train(folder, workdir, devices, *args) -> None:
  _finish(_start(folder, workdir, devices, *args))


def _free_port(first: int = 0) -> int:
  """Any free port, or the first free one from `first` on."""
  with socket.socket() as free:
    try:
      free.bind(("localhost", first))
    except OSError:
      return _free_port(first + 1)
    return free.getsockname()[1]


def _address() -> str:
  """Of a process 0 to be."""
  return f"localhost:{_free_port()}"


def _start_by_flags(folder, workdir, *args) -> list[subprocess.Popen]:
  """Two processes of two devices, told of each other by hand."""
  cluster = ("--coordinator", _address(), "--processes", 2, "--process")
  return [_start(folder, workdir, 2, *args, *cluster, i) for i in range(2)]


def _start_by_slurm(folder, workdir, tasks, *args) -> list[subprocess.Popen]:
  """Tasks of two devices as `srun` starts them: told of all by variables.

  JAX takes the port from the job's number.
  """
  env = {
    "SLURM_JOB_ID": str(_free_port(61440 + os.getpid() % 4000) - 61440),
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_STEP_NUM_NODES": "1",
    "SLURM_NTASKS": str(tasks),
  }
  return [
    _start(
      folder, workdir, 2, *args, "--distributed", **env, SLURM_PROCID=str(i),
      SLURM_LOCALID=str(i),
    )
    for i in range(tasks)
  ]  # fmt: skip


def _state(folder, workdir, *overrides) -> dict[str, Any]:
  """All that a run ends with."""
  return final(folder / workdir, load_config(folder / "c.py", overrides))[1]


def _assert_same_parameters(state, wanted) -> None:
  """To float accuracy, as sums are added in another order.

  Most tensors are within 1e-6. Gamma of the first GDN is within 1.5e-5, by one
  element: where gradients are rounding errors, Adam still takes full steps.
  """

  def assert_same(a, b):
    assert np.linalg.norm(a - b) <= 3e-5 * np.linalg.norm(b) > 0

  for key in ("params", "ema"):
    jax.tree.map(assert_same, state[key], wanted[key])


@pytest.fixture(scope="module")
def one_device(folder) -> dict[str, Any]:
  _finish(_start(folder, "one", 1))
  return _state(folder, "one")


def test_four_devices_in_two_parts_each_train_as_one_does(folder, one_device):
  parts = "--config.train.accumulate=2"
  _finish(_start(folder, "four", 4, parts))
  _assert_same_parameters(_state(folder, "four", parts), one_device)


def test_a_run_goes_on_with_other_numbers_of_devices_and_processes(
  folder, one_device
):
  _finish(_start(folder, "moved", 8, "--stop-at", 15))
  parts = "--config.train.accumulate=4"
  _finish(_start(folder, "moved", 2, "--stop-at", 30, parts))
  _finish(*_start_by_flags(folder, "moved"))
  _assert_same_parameters(_state(folder, "moved"), one_device)
  for moved, row in zip(logged(folder / "moved"), logged(folder / "one")):
    assert (moved["step"], moved["lr"]) == (row["step"], row["lr"])
    assert float(moved["loss"]) == pytest.approx(float(row["loss"]), rel=1e-5)


@pytest.fixture(scope="module")
def two_processes(folder) -> dict[str, Any]:
  _finish(*_start_by_flags(folder, "two"))
  return _state(folder, "two")


def test_two_processes_of_two_devices_train_as_one_does(
  one_device, two_processes
):
  _assert_same_parameters(two_processes, one_device)


def test_two_processes_of_which_one_is_killed_resume_exactly(
  folder, two_processes
):
  processes = _start_by_slurm(folder, "killed", 2)
  checkpoints = folder / "killed" / "checkpoints"
  while not (checkpoints / "5").exists():
    assert processes[0].poll() is None, processes[0].communicate()[1]
    time.sleep(0.02)
  processes[1].kill()
  processes[0].kill()  # it would wait for the other's heartbeat
  for process in processes:
    process.communicate()
  names = [p.name for p in checkpoints.iterdir()]
  steps = [int(name) for name in names if name.isdigit()]  # the whole ones
  assert steps and max(steps) < 40
  _finish(*_start_by_flags(folder, "killed"))
  state = _state(folder, "killed")
  jax.tree.map(np.testing.assert_array_equal, state, two_processes)
  assert logged(folder / "two") == logged(folder / "killed")


def _last_lines(folder, script) -> list[str]:
  """What two processes that run a script print last."""
  address = _address()
  processes = [
    _python(folder, ["-c", script, address, str(i)], 1) for i in range(2)
  ]
  try:
    results = [process.communicate(timeout=120) for process in processes]
  finally:
    for process in processes:
      process.kill()
  assert not any(process.returncode for process in processes), results
  # Newer JAX says on stdout that they are connected.
  return [printed.splitlines()[-1] for printed, _ in results]


def test_processes_end_together_where_one_is_stopped_between_stages(folder):
  assert _last_lines(folder, STOPPED_BETWEEN_STAGES) == ["1", "1"]


def test_two_processes_save_a_step_to_two_folders_at_once(folder):
  assert _last_lines(folder, SAVED_TO_TWO_FOLDERS) == ["[1, 1]", "[1, 1]"]


def test_a_slurm_job_of_one_task_joins_and_goes_on(folder, one_device):
  log = (folder / "one" / "log.csv").read_text()
  assert log.splitlines()[-1].startswith("40,")
  _finish(*_start_by_slurm(folder, "one", 1))  # all that is left is to restore
  assert (folder / "one" / "log.csv").read_text() == log
  state = _state(folder, "one")
  jax.tree.map(np.testing.assert_array_equal, state, one_device)


@pytest.mark.parametrize("env", [{}, {"SLURM_JOB_ID": "1"}])  # no srun
def test_without_a_cluster_one_sentence_tells_how_to_start(folder, env):
  process = _start(
    folder, "alone", 1, "--distributed", "--device", "cpu", **env
  )
  _, errors = process.communicate(timeout=600)
  assert process.returncode == 1 and not (folder / "alone").exists()
  assert "no cluster was found" in errors and "srun" in errors
  assert len(errors.splitlines()) == 1
