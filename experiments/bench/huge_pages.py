"""What huge pages bring: a training step, and coding a photo, without and with.

    python experiments/bench/huge_pages.py

Each measurement has a process of its own, in turns. N=192, M=320; steps of
batch 8 of 256x256, with selection; a photo of 768x512. For kernels that give
huge pages to those who ask (`madvise`); where they always do, nothing differs.
"""

import argparse
import statistics
import sys

from common import run_json

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
  print("what               4_KiB_s  huge_s  ratio  4_KiB_MiB  huge_MiB")
  for name, (script, options, parts) in CASES.items():
    runs: dict[bool, list[dict]] = {False: [], True: []}
    for _ in range(args.rounds):
      for huge, found in runs.items():
        found.append(run_json(sys.executable, script, *options, huge=huge))
    small, large = (
      statistics.median(sum(run[part] for part in parts) for run in found)
      for found in runs.values()
    )
    memory = [max(run["peak_mib"] for run in found) for found in runs.values()]
    print(
      f"{name:<17}  {small:7.3f}  {large:6.3f}  {large / small:5.3f}  "
      f"{memory[0]:9.0f}  {memory[1]:8.0f}"
    )


if __name__ == "__main__":
  main()
