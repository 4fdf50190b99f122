"""Kills a training run at random moments; it has to end as an unbroken one.

    python experiments/bench/preempt.py --images PHOTOS --workdir W

The recipe is smoke. Every start is ended by SIGKILL or SIGTERM to one of its
processes, drawn by chance: while it starts or compiles, or some steps later, in
the middle of a step or of a save. The others may then end by themselves; after
some seconds they are killed, as `srun --kill-on-bad-exit` does. Then all start
again. The parameters that the last start ends with, and log.csv but for how
fast it went, are compared bit for bit.
"""

from __future__ import annotations

import csv
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
from common import argument_parser

from sclc_jax.runs.experiment import load_checkpoint
from sclc_jax.train.logs import SPEED

_STEPS = 75  # of all stages
_PATIENCE = 10  # seconds that the other processes have
_LATE = 600  # seconds in which all save and end, where SIGTERM asks for it


class Run:
  """The processes of a run; the same arguments resume it."""

  def __init__(self, workdir: pathlib.Path, images: str, processes: int):
    self.workdir = workdir
    with socket.socket() as free:
      free.bind(("localhost", 0))
      address = f"localhost:{free.getsockname()[1]}"
    command = [
      sys.executable, "-m", "sclc_jax.cli", "train", "--config", "smoke",
      "--workdir", str(workdir), "--quiet",
      f"--config.data.source=folder:{images}",
      "--config.stages.base.steps=60",
    ]  # fmt: skip
    cluster = ["--coordinator", address, "--processes", str(processes)]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if processes > 1:  # process 0 alone would fill it, and not wait for others
      env["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    self.processes = [
      subprocess.Popen(
        command + (cluster + ["--process", str(i)] if processes > 1 else []),
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
      )
      for i in range(processes)
    ]  # fmt: skip

  def step(self) -> int:
    """The last step of log.csv."""
    rows = logged(self.workdir)
    return int(rows[-1]["step"]) if rows else 0

  def alive(self) -> bool:
    return all(process.poll() is None for process in self.processes)

  def wait(self, seconds: float) -> list[int]:
    """Their exit codes; whoever is late is killed."""
    until = time.monotonic() + seconds
    for process in self.processes:
      try:
        process.wait(max(0.1, until - time.monotonic()))
      except subprocess.TimeoutExpired:
        process.kill()
    return [process.wait() for process in self.processes]

  def finish(self) -> None:
    """Waits for the end of the run."""
    if any(self.wait(_LATE)):
      errors = [process.stderr.read() for process in self.processes]
      raise SystemExit(f"{self.workdir} did not finish: {' '.join(errors)}")


def logged(workdir: pathlib.Path) -> list[dict[str, str]]:
  """The rows of log.csv, without how fast it went."""
  path = workdir / "log.csv"
  if not path.exists():
    return []
  with path.open(newline="") as file:
    rows = [row for row in csv.DictReader(file) if row["step"]]
  return [{k: v for k, v in row.items() if k not in SPEED} for row in rows]


def kill(run: Run, start_s: float, rng: random.Random) -> dict:
  """Ends a run at a random moment; what was done, for the table."""
  began, first = time.monotonic(), run.step()
  start, steps = rng.random() < 0.3, rng.randint(1, 5)
  moment = rng.uniform(0.5, start_s)
  while run.alive():
    if start and time.monotonic() - began > moment:
      break
    if not start and run.step() >= first + steps:
      time.sleep(rng.uniform(0, 0.5))
      break
    time.sleep(0.01)
  signal_ = rng.choice([signal.SIGKILL, signal.SIGTERM])
  victim = rng.randrange(len(run.processes))
  cut = run.alive()
  process = run.processes[victim]
  process.send_signal(signal_)
  after = time.monotonic() - began
  codes = run.wait(_PATIENCE if process.wait(_LATE) else _LATE)
  return {
    "signal": signal_.name, "process": victim, "after_s": round(after, 1),
    "step": run.step(), "codes": codes, "cut": cut,
  }  # fmt: skip


def equal(a: pathlib.Path, b: pathlib.Path) -> bool:
  """Whether two runs ended with the same bits, and logged the same."""
  params, others = load_checkpoint(a)[1], load_checkpoint(b)[1]
  same = jax.tree.map(np.array_equal, params, others)
  return all(jax.tree.leaves(same)) and logged(a) == logged(b)


def main() -> None:
  parser = argument_parser(__doc__, "--images")
  parser.add_argument("--workdir", required=True, help="gets both runs")
  parser.add_argument("--kills", type=int, default=10, help="how many")
  parser.add_argument("--processes", type=int, default=2, help="of the run")
  parser.add_argument("--seed", type=int, default=0, help="of the moments")
  args = parser.parse_args()
  rng = random.Random(args.seed)
  workdir = pathlib.Path(args.workdir)
  unbroken, broken = workdir / "unbroken", workdir / "broken"

  def start(folder: pathlib.Path) -> Run:
    return Run(folder, args.images, args.processes)

  began, run = time.monotonic(), start(unbroken)
  while run.alive() and not run.step():
    time.sleep(0.05)
  start_s = time.monotonic() - began
  run.finish()
  print(f"unbroken: first step after {start_s:.0f} s, {_STEPS} steps in "
        f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
  kills = 0
  while kills < args.kills:
    row = kill(start(broken), start_s, rng)
    kills += row.pop("cut")
    print(*(f"{k}={v}" for k, v in row.items()), flush=True)
    if row["step"] >= _STEPS:
      raise SystemExit(f"finished after {kills} kills; give another --seed.")
  start(broken).finish()
  same = equal(unbroken, broken)
  print(f"{kills} kills: parameters and log {'equal' if same else 'DIFFER'}")
  if not same:
    raise SystemExit(1)


if __name__ == "__main__":
  main()
