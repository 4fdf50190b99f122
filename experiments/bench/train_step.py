"""Time and memory of a training step against CompressAI, in the same run.

    python experiments/bench/train_step.py --peer-python PEER/bin/python

Steps of batch 8 of 256x256 at N=192, M=320: one sampled level, and all 8
levels; the peer has a single level. Also as a share of the matrix-product rate
measured here. `--devices 2` spreads ours over two virtual CPU devices.

    python experiments/bench/train_step.py --devices 2 --pipeline

measures our step alone, over two virtual CPU devices, on data in memory and,
in turns with it, on crops from the input pipeline.
"""

import json
import os
import pathlib
import statistics
import sys
import tempfile

import numpy as np
from common import (
  add_peer,
  argument_parser,
  peak_mib,
  run_json,
  seconds,
  training_step,
)


def matmul_rate(size: int = 2048) -> float:
  """float32 matrix products, GFLOP/s."""
  import jax
  import jax.numpy as jnp

  a = jnp.ones((size, size))
  product = jax.jit(lambda a: a @ a)
  return 2e-9 * size**3 / seconds(lambda: product(a).block_until_ready(), 7)


def step_gflop(N: int, M: int, batch: int, size: int, levels: int) -> float:
  """Multiply-adds times 2 of the convolutions and GDN, forward and twice back.

  The first convolution needs no gradient of its input; that is left in.
  """
  p = (size // 2) ** 2
  synthesis = p * (25 * 3 * N + N * N) + p / 4 * (25 * N * N + N * N)
  synthesis += p / 16 * (25 * N * N + N * N) + p / 64 * (25 * N * M)
  analysis = synthesis
  hyper = p / 64 * (9 * M * N + 9 * N * M + N * M)
  hyper += p / 256 * 25 * N * N * 2 + p / 1024 * 25 * N * N * 2
  return 3 * 2e-9 * batch * (analysis + hyper + levels * synthesis)


def ours(args) -> dict:
  """Seconds of one step of our loop, with selection."""
  import jax

  step_on = training_step(args)
  rng = np.random.default_rng(0)
  shape = (args.batch, args.size, args.size, 3)
  in_memory = rng.integers(0, 256, shape, np.uint8)

  def step(images):
    jax.block_until_ready(step_on(images[None], 0))

  result = {"step_s": seconds(lambda: step(in_memory), args.repeats, warm=2)}
  if args.pipeline:
    pairs = _with_pipeline(args, step, in_memory)
    result |= {
      "step_s": statistics.median(pair[0] for pair in pairs),
      "pipeline_step_s": statistics.median(pair[1] for pair in pairs),
    }
  return result | {"matmul_gflops": matmul_rate(), "peak_mib": peak_mib()}


def _with_pipeline(args, step, in_memory) -> list[tuple[float, float]]:
  """Seconds of a step on data in memory and on the pipeline's, in turns."""
  from input_pipeline import example_folder

  from sclc_jax.train.data import make_batches, open_images

  with tempfile.TemporaryDirectory() as folder:
    example_folder(pathlib.Path(folder))
    images = open_images(f"folder:{folder}", args.size, 8192)
    batches = make_batches(
      images, crop_size=args.size, batch_size=args.batch, seed=0
    )
    step(next(batches))
    return [
      (
        seconds(lambda: step(in_memory), 1, warm=0),
        seconds(lambda: step(next(batches)), 1, warm=0),
      )
      for _ in range(args.repeats)
    ]


def main() -> None:
  parser = argument_parser(__doc__, "--N", "--M", "--batch", "--size")
  add_peer(parser)
  parser.add_argument(
    "--levels",
    type=int,
    default=1,
    choices=range(1, 9),
    help="quality levels a step",
  )
  parser.add_argument(
    "--repeats",
    type=int,
    default=4,
    help="measurements, of which the median counts",
  )
  parser.add_argument(
    "--rounds", type=int, default=2, help="turns, each in processes of its own"
  )
  parser.add_argument("--devices", type=int, default=1, help="virtual CPUs")
  parser.add_argument(
    "--pipeline",
    action="store_true",
    help="on crops from the input pipeline, too",
  )
  args = parser.parse_args()
  if args.devices > 1:
    flag = f"--xla_force_host_platform_device_count={args.devices}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
  if not args.peer_python:
    print(json.dumps(ours(args)))
    return
  sizes = ("--N", args.N, "--M", args.M, "--batch", args.batch,
           "--size", args.size, "--repeats", args.repeats)  # fmt: skip
  runs: dict[int, list[dict]] = {0: [], 1: [], 8: []}  # 0: the peer
  for _ in range(args.rounds):  # in turns, since the machine's speed drifts
    runs[0].append(
      run_json(
        args.peer_python,
        "peer_compressai.py",
        "train",
        *sizes,
        tunables=args.peer_tunables,
      )
    )
    for levels in (1, 8):
      runs[levels].append(
        run_json(sys.executable, "train_step.py", "--levels", levels, *sizes)
      )
  step = {k: statistics.median(r["step_s"] for r in v) for k, v in runs.items()}
  memory = {k: max(r["peak_mib"] for r in v) for k, v in runs.items()}
  print(f"compressai, 1 level: {step[0]:.2f} s, {memory[0]:.0f} MiB")
  for levels in (1, 8):
    rate = statistics.median(r["matmul_gflops"] for r in runs[levels])
    gflop = step_gflop(args.N, args.M, args.batch, args.size, levels)
    print(
      f"sclc_jax, {levels} levels: {step[levels]:.2f} s, "
      f"{memory[levels]:.0f} MiB, ratio {step[levels] / step[0]:.3f}, "
      f"{100 * gflop / step[levels] / rate:.0f} % of {rate:.0f} GFLOP/s"
    )


if __name__ == "__main__":
  main()
