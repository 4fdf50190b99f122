"""Training throughput of one accelerator, against the same step in PyTorch.

    python experiments/bench/gpu_train.py [--torch-python PEER/bin/python]

Steps in bfloat16 with float32 parameters at N=192, M=320, batch 8 of 256x256:
one sampled level, and all 8 levels, on device-resident data, several steps a
call. For each: images/s, the share of the bfloat16 matrix-product rate that is
measured here, memory, and the time of PyTorch's step in the same run where
torch can be imported. On a CPU take small sizes: it shows that it runs.
"""

import json
import statistics
import sys
import time

from common import argument_parser, peak_mib, photo, run_json, training_step
from train_step import step_gflop


def matmul_tflops(size: int) -> float:
  """bfloat16 matrix products with float32 sums, TFLOP/s."""
  import jax
  import jax.numpy as jnp

  a = jnp.ones((size, size), jnp.bfloat16)

  @jax.jit
  def products(a):
    def body(_, b):
      c = jnp.dot(a, b, preferred_element_type=jnp.float32)
      return (c / size).astype(jnp.bfloat16)

    return jax.lax.fori_loop(0, 20, body, a)

  products(a).block_until_ready()
  best = float("inf")
  for _ in range(5):
    start = time.perf_counter()
    products(a).block_until_ready()
    best = min(best, time.perf_counter() - start)
  return 20 * 2e-12 * size**3 / best


def ours(args) -> dict:
  """Seconds of a step of our loop, and memory."""
  import jax
  import numpy as np

  from sclc_jax.train import device_data, parallel
  from sclc_jax.train.data import make_batches
  from sclc_jax.train.step import Resident

  image = photo(2 * args.size + 256, 2 * args.size)
  images = [np.roll(image, 8 * i, 1) for i in range(16)]
  window = device_data.largest_square(images, args.size, 2.0)
  resident = Resident(
    parallel.replicate(device_data.pack(images)),
    lambda data, rows: device_data.cut_examples(data, rows, args.size, window),
  )
  rows = make_batches(
    device_data.shapes_of(images), crop_size=args.size, batch_size=args.batch,
    seed=0, finish=device_data.to_row,
  )  # fmt: skip
  step_on = training_step(args, args.precision, resident)

  def call(step: int):
    return step_on(np.stack([next(rows) for _ in range(args.per_call)]), step)

  jax.block_until_ready(call(1))
  times, step = [], 1
  for _ in range(args.rounds):
    calls = max(1, args.steps // args.per_call)
    start = time.perf_counter()
    for _ in range(calls):
      step += args.per_call
      sums = call(step)
    jax.block_until_ready(sums)
    times.append((time.perf_counter() - start) / calls / args.per_call)
  stats = jax.local_devices()[0].memory_stats() or {}
  peak = stats.get("peak_bytes_in_use")
  return {
    "step_s": statistics.median(times),
    "devices": jax.device_count(),
    "device": jax.devices()[0].device_kind,
    "matmul_tflops": matmul_tflops(args.matmul),
    "peak_mib": peak / 2**20 if peak else peak_mib(),
  }


def main() -> None:
  parser = argument_parser(__doc__, "--N", "--M", "--batch", "--size")
  parser.add_argument(
    "--steps", type=int, default=100, help="training steps a round"
  )
  parser.add_argument("--per-call", type=int, default=10, help="steps a call")
  parser.add_argument(
    "--rounds", type=int, default=3, help="turns, each in processes of its own"
  )
  parser.add_argument(
    "--precision", default="bfloat16", help="of the transforms"
  )
  parser.add_argument("--matmul", type=int, default=8192, help="matrix size")
  parser.add_argument("--levels", type=int, choices=(1, 8), help="in-process")
  parser.add_argument(
    "--torch-python", default=sys.executable, help="Python with torch"
  )
  parser.add_argument(
    "--torch-compile", action="store_true", help="compile the step of PyTorch"
  )
  args = parser.parse_args()
  if args.levels:
    print(json.dumps(ours(args)))
    return
  sizes = [
    f"--{key}={getattr(args, key)}"
    for key in ("N", "M", "batch", "size", "steps", "rounds")
  ]
  own = [f"--{key.replace('_', '-')}={getattr(args, key)}"
         for key in ("per_call", "precision", "matmul")]  # fmt: skip
  has_torch = _can_import_torch(args.torch_python)
  for levels in (1, 8):
    result = run_json(
      sys.executable, "gpu_train.py", "--levels", levels, *sizes, *own
    )
    step, peak = result["step_s"], result["matmul_tflops"] * result["devices"]
    gflop = step_gflop(args.N, args.M, args.batch, args.size, levels)
    print(
      f"{levels} levels on {result['devices']} x {result['device']}: "
      f"{1e3 * step:.2f} ms a step, {args.batch / step:.0f} images/s, "
      f"{100e-3 * gflop / step / peak:.0f} % of {peak:.1f} TFLOP/s in bfloat16 "
      f"matrix products, {result['peak_mib']:.0f} MiB"
    )
    if has_torch:
      peer = run_json(
        args.torch_python, "peer_torch.py", "--levels", levels, *sizes,
        *["--compile"] * args.torch_compile,
      )  # fmt: skip
      print(
        f"{levels} levels in PyTorch: {1e3 * peer['step_s']:.2f} ms a step, "
        f"{peer['step_s'] / step:.2f} times ours"
      )


def _can_import_torch(python: str) -> bool:
  import subprocess

  done = subprocess.run([python, "-c", "import torch"], capture_output=True)
  return done.returncode == 0


if __name__ == "__main__":
  main()
