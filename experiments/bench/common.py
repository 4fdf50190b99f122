"""What the benchmarks share: a photo, models, steps, timing, memory."""

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

from sclc_jax import malloc  # isort: skip (it sets up BLAS, before NumPy)
import numpy as np


def tunables_of(script: str) -> str:
  """Of malloc, as `sclc` sets them where it does what the script measures."""
  training = "train" in pathlib.Path(script).stem
  return malloc.KEEP if training else malloc.HUGE_PAGES


malloc.restart(tunables_of(sys.argv[0]))
UNTUNED = "glibc.malloc.hugetlb=0"  # as malloc comes
HERE = pathlib.Path(__file__).parent


class _Help(
  argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter
):
  """The docstring as it is, and each flag with its default."""


_FLAGS = {
  "--images": dict(required=True, help="folder of photographs", metavar="DIR"),
  "--model": dict(help="a file or a shipped name; None: the default model"),
  "--limit": dict(type=int, help="take the first so many images alone"),
  "--crop": dict(type=int, help="side of the middle to take, pixels"),
  "--N": dict(type=int, default=192, help="width of the transforms and of z"),
  "--M": dict(type=int, default=320, help="width of y"),
  "--width": dict(type=int, default=768, help="of the photo, pixels"),
  "--height": dict(type=int, default=512, help="of the photo, pixels"),
  "--batch": dict(type=int, default=8, help="crops a step"),
  "--size": dict(type=int, default=256, help="side of the crops, pixels"),
}


def argument_parser(doc: str, *flags: str) -> argparse.ArgumentParser:
  """Prints a bench's docstring, its flags and their defaults as its help.

  Args:
    doc: the docstring.
    *flags: those of `_FLAGS` that it takes.
  """
  parser = argparse.ArgumentParser(description=doc, formatter_class=_Help)
  add_flags(parser, *flags)
  return parser


def add_flags(parser: argparse.ArgumentParser, *flags: str) -> None:
  """Adds flags of `_FLAGS`."""
  for flag in flags:
    parser.add_argument(flag, **_FLAGS[flag])


def photo(width: int = 768, height: int = 512) -> np.ndarray:
  """A photograph that scikit-image ships, resized; uint8 [H, W, 3]."""
  import skimage.data
  from PIL import Image

  image = Image.fromarray(skimage.data.coffee())
  return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def random_model(N: int, M: int, base: str = "hyperprior", init="xavier"):
  """A frozen model of these widths with untrained weights."""
  from sclc_jax.config import ModelConfig
  from sclc_jax.export.freeze import freeze
  from sclc_jax.models.variable_rate import init_params

  config = ModelConfig(base, N, M, init=init)
  return freeze(config, init_params(config, 0))


def training_step(
  args, precision: str = "float32", resident=None
) -> Callable[[np.ndarray, int], dict]:
  """A step of the last stage, with selection; each call trains on.

  Args:
    args: N, M, batch, and levels (8 is all of them).
    precision: of the transforms.
    resident: data on the devices, a `Resident`, or None.

  Returns:
    Takes batches [steps, batch, ...] (images, or rows of `resident`) and the
    number of the first step; gives the sums of the loop's metrics, which may
    still be under way.
  """
  import jax

  from sclc_jax.config import default_config_dict, from_config_dict
  from sclc_jax.train import parallel
  from sclc_jax.train.stages import stages
  from sclc_jax.train.state import new_state, pack_state
  from sclc_jax.train.step import make_dispatch

  config = default_config_dict()
  config.model.N, config.model.M = args.N, args.M
  config.stages.base.steps = 0
  config.stages.quantization.steps = 1
  config.stages.selective.steps = 1_000_000
  config.train.levels_per_image = args.levels % 8
  config.train.precision = precision
  config = from_config_dict(config)
  stage = stages(config)[-1]
  update = make_dispatch(config, stage, resident.cut if resident else None)
  state = new_state(config, stage, None)
  state = parallel.replicate(pack_state(config, stage, state))
  data = () if resident is None else resident.data
  indices = parallel.shard(np.arange(args.batch, dtype=np.int32))
  ones = np.ones(jax.local_device_count(), np.int32)

  def step(batches: np.ndarray, number: int) -> dict:
    nonlocal state
    state, sums = update(
      state, data, parallel.shard(batches, 1), number * ones, indices, 0 * ones
    )
    return sums

  return step


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


def print_encoders(name: str, codecs: dict, paths: list, crop=None) -> None:
  """Prints what encoders gain over the first of them.

  Args:
    name: of what differs between them.
    codecs: by its value.
    paths: of images, coded at every level from one analysis a model.
    crop: side of the middle of the images to take; None takes all.
  """
  import tqdm

  from sclc_jax.codec.pixels.picture import middle
  from sclc_jax.images import load_image
  from sclc_jax.metrics import bd_rate, psnr_db

  first = next(iter(codecs.values()))
  levels = range(1, first.model.top_quality + 1)
  points = []  # [images, codecs, levels, (bpp, dB, seconds)]
  for path in tqdm.tqdm(paths):
    image = load_image(path)
    if crop:
      image = middle(image, crop)
    rows, analyses = [], {}
    for codec in codecs.values():
      row, model = [], codec.model.fingerprint
      if model not in analyses:
        analyses[model] = codec.analyse(image)
      for level in levels:
        start = time.perf_counter()
        data = codec.encode(analyses[model], level)
        taken = time.perf_counter() - start
        bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
        row.append((bpp, psnr_db(image, codec.decompress(data)), taken))
      rows.append(row)
    points.append(rows)
  curves = np.mean(points, 0)
  print(f"{name}  BD-rate_%  encode_s", *(f"level_{i}" for i in levels))
  for value, curve in zip(codecs, curves):
    saved = bd_rate(*curves[0, :, :2].T, *curve[:, :2].T)
    shown = (f"{bpp:.3f}/{psnr:.2f}" for bpp, psnr, _ in curve)
    taken = np.median(np.array(points)[:, list(codecs).index(value), :, 2])
    print(f"{value:<6g}  {saved:+9.2f}  {taken:8.2f}", *shown)


def peak_mib() -> float:
  """Peak resident memory of this process so far, MiB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def add_peer(parser: argparse.ArgumentParser) -> None:
  """Adds the flags for what measures CompressAI."""
  parser.add_argument("--peer-python", help="Python with torch and compressai")
  parser.add_argument(
    "--tune-peer", dest="peer_tunables", action="store_const",
    const=tunables_of(sys.argv[0]), default=UNTUNED,
    help="give the peer the malloc that sclc takes",
  )  # fmt: skip


def run_json(
  python: str, script: str, *args: object, tunables: str | None = None
) -> dict:
  """Runs a sibling script in its own process; its last line is JSON.

  Args:
    python: its interpreter.
    script: beside this one.
    *args: of the script.
    tunables: of its malloc; None for those of `sclc`.
  """
  command = [python, str(HERE / script), *map(str, args)]
  env = os.environ | {"GLIBC_TUNABLES": tunables or tunables_of(script)}
  done = subprocess.run(command, capture_output=True, text=True, env=env)
  if done.returncode:
    sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
  return json.loads(done.stdout.strip().splitlines()[-1])
