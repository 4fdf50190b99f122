"""Seconds until a stage's first step, and what is compiled for it.

    python experiments/bench/compile_time.py [--config smoke] \
      [--config.optim.method=soap]

For each stage: seconds to initial parameters and state, to trace and lower the
step, and to compile it, without a cache; CPU seconds of all three;
operations before and after XLA's optimisation, and the convolutions among them;
and the median of some steps on random pixels. The first stage also pays what a
process pays once, some 2 CPU seconds.
"""

import collections
import re
import time

import common  # isort: skip (it sets up malloc, before NumPy)
import jax
import numpy as np

from sclc_jax.runs import experiment
from sclc_jax.train import parallel
from sclc_jax.train.stages import stages
from sclc_jax.train.state import new_state, pack_state
from sclc_jax.train.step import make_dispatch


def operations(text: str, pattern: str) -> collections.Counter:
  """How often each operation stands in a program's text."""
  return collections.Counter(re.findall(pattern, text, re.MULTILINE))


def measure(config, stage, repeats: int) -> dict[str, float]:
  """One row of the table."""
  row, start, cpu = {}, time.perf_counter(), time.process_time()

  def lap(name: str) -> None:
    nonlocal start
    now = time.perf_counter()
    row[name], start = now - start, now

  state = new_state(config, stage, None)
  state = parallel.replicate(pack_state(config, stage, state))
  jax.block_until_ready(state)
  lap("initial_s")
  data, devices = config.data, jax.local_device_count()
  shape = data.batch_size, data.crop_size, data.crop_size, 3
  images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  indices = parallel.shard(np.arange(data.batch_size, dtype=np.int32))
  ones = np.ones(devices, np.int32)
  batches = parallel.shard(images[None], 1)
  args = (), batches, stage.start * ones, indices, 0 * ones
  update = make_dispatch(config, stage)
  start = time.perf_counter()
  lowered = update.lower(state, *args)
  lap("lower_s")
  compiled = lowered.compile()
  lap("compile_s")
  row["cpu_s"] = time.process_time() - cpu
  before = operations(lowered.as_text(), r"= \"?(\w+\.\w+)")
  pattern = r"^\s+(?:ROOT )?%?\S+ = \S+ (\w[\w-]*)\("
  after = operations(compiled.as_text(), pattern)
  row |= {
    "ops": before.total(),
    "convolutions": before["stablehlo.convolution"],
    "compiled_ops": after.total(),
  }
  if repeats:

    def step():
      nonlocal state
      state, sums = compiled(state, *args)
      jax.block_until_ready(sums)

    row["step_s"] = common.seconds(step, repeats, warm=1)
  return row


def main() -> None:
  parser = common.argument_parser(__doc__)
  parser.add_argument("--config", default="smoke", help="recipe, or its file")
  parser.add_argument("--stage", help="only this one; all if unset")
  parser.add_argument("--repeats", type=int, default=4, help="steps timed")
  args, overrides = parser.parse_known_args()
  config = experiment.load_config(args.config, overrides)
  for stage in stages(config):
    if args.stage in (None, stage.name):
      row = measure(config, stage, args.repeats)
      text = "  ".join(
        f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row.items()
      )
      print(f"jax {jax.__version__}  {stage.name:<12}  {text}", flush=True)


if __name__ == "__main__":
  main()
