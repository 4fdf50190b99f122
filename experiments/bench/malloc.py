"""What malloc's tunables bring: training steps and coding, three ways.

    python experiments/bench/malloc.py [--rounds 3]

As glibc comes; with huge pages, as `sclc` codes; and with what is freed kept,
as `sclc` trains (sclc_jax/malloc.py).
Each measurement has a process of its own, in turns. N=192, M=320; steps of
batch 8 of 256x256, with selection; a photo of 768x512. Huge pages differ
only where the kernel gives them to those who ask (`madvise`).
"""

import argparse
import statistics
import sys

from common import UNTUNED, run_json

from sclc_jax import malloc

WAYS = {
  "as it comes": UNTUNED,
  "huge pages": malloc.HUGE_PAGES,
  "kept": malloc.KEEP,
}
CASES = {
  "step, 1 level": ("train_step.py", ("--repeats", 4), ("step_s",)),
  "step, 8 levels": (
    "train_step.py", ("--repeats", 2, "--levels", 8), ("step_s",),
  ),
  "encode and decode": ("codec_speed.py", (), ("encode_s", "decode_s")),
}  # fmt: skip


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--rounds", type=int, default=3)
  args = parser.parse_args()
  print("what               way           seconds    MiB")
  for case, (script, options, parts) in CASES.items():
    runs: dict[str, list[dict]] = {way: [] for way in WAYS}
    for _ in range(args.rounds):
      for way, tunables in WAYS.items():
        runs[way].append(
          run_json(sys.executable, script, *options, tunables=tunables)
        )
    for way, found in runs.items():
      time_s = statistics.median(sum(run[p] for p in parts) for run in found)
      memory = max(run["peak_mib"] for run in found)
      print(f"{case:<17}  {way:<12}  {time_s:7.3f}  {memory:5.0f}", flush=True)


if __name__ == "__main__":
  main()
