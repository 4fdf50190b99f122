"""What the benchmarks share: a photo, random weights, timing, memory."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from sclc_jax import huge_pages  # isort: skip (it sets up BLAS, before NumPy)
import numpy as np

huge_pages.restart()  # as `sclc` runs
HERE = pathlib.Path(__file__).parent


def photo(width: int = 768, height: int = 512) -> np.ndarray:
  """A photograph that scikit-image ships, resized; uint8 [H, W, 3]."""
  import skimage.data
  from PIL import Image

  image = Image.fromarray(skimage.data.coffee())
  return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def random_model(N: int, M: int, base: str = "hyperprior", init="xavier"):
  """A frozen model of these widths with untrained weights."""
  from sclc_jax.codec.model_file import freeze
  from sclc_jax.config import ModelConfig
  from sclc_jax.models.variable_rate import init_params

  config = ModelConfig(base, N, M, init=init)
  return freeze(config, init_params(config, 0))


def seconds(call: Callable[[], object], repeats: int, warm: int = 1) -> float:
  """Median wall time of a call, after `warm` calls that do not count."""
  for _ in range(warm):
    call()
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
  return statistics.median(times)


def peak_mib() -> float:
  """Peak resident memory of this process so far, MiB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def add_peer(parser: argparse.ArgumentParser) -> None:
  """Adds the flags for what measures CompressAI."""
  parser.add_argument("--peer-python", help="with torch and compressai")
  parser.add_argument(
    "--peer-huge-pages", action="store_true",
    help="give the peer the huge pages that sclc takes",
  )  # fmt: skip


def run_json(
  python: str, script: str, *args: object, huge: bool = True
) -> dict:
  """Runs a sibling script in its own process; its last line is JSON.

  Args:
    python: its interpreter.
    script: beside this one.
    *args: of the script.
    huge: gives the process huge pages.
  """
  command = [python, str(HERE / script), *map(str, args)]
  env = os.environ | {"GLIBC_TUNABLES": f"{huge_pages.TUNABLE}={int(huge)}"}
  done = subprocess.run(command, capture_output=True, text=True, env=env)
  if done.returncode:
    sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
  return json.loads(done.stdout.strip().splitlines()[-1])
