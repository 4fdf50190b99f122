"""What `sclc` says where it refuses, its exit code, and the time to it.

    python experiments/bench/refusals.py [--repeats 3]

Each line is a fresh process in a folder with a small photo, as at a shell; the
time is the least of the repeats. Those from "model" on load one.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from common import argument_parser, photo

from sclc_jax import malloc

COMMANDS = """
compress no.jpg
compress empty
compress '*.webp'
compress a.jpg
compress a.jpg -o a.jpg --force
compress a.jpg -o ./link.jpg --force
compress a.jpg sub -o one.sclc
compress sub/a.jpg a.jpg -o out --model no.sclcm
compress sub/a.jpg -o no/such.sclc
compress sub/a.jpg -o gs://bucket/a.sclc
compress sub/a.jpg --quality 9
compress sub/a.jpg --quality nan
compress sub/a.jpg --target-bpp 0
compress sub/a.jpg --target-psnr nan
compress sub/a.jpg --effort 65
compress sub/a.jpg --threads 0
compress sub/a.jpg --model nope
compress sub/a.jpg --quality-map a.jpg --target-bpp 1
compress sub/a.jpg --nonsense
compress - <&-
decompress a.sclc -o x.heic
decompress no.sclc
info no.sclc
info a.jpg
models >&-
evaluate --images no
evaluate --images empty
evaluate --images sub --csv no/rows.csv
evaluate --images sub --csv sub/a.jpg
inspect a.jpg -o a.sclc
demo --out a.sclc
train --config no.py --workdir w
train --config c.py --workdir gs://bucket/w
train --config c.py --workdir w --config.data.source=folder:no
train --config c.py --workdir w --config.model.nonsense=1
train --config c.py --workdir w --config.seed=x
export --workdir w -o no/model.sclcm
--help
compress sub/a.jpg --device tpu
train --config c.py --workdir w --device tpu
compress cut.jpg
compress text.jpg
decompress a.sclc -o back.png
"""
_CONFIG = """
from sclc_jax.config import default_config_dict
def get_config():
  config = default_config_dict()
  config.data.source = "folder:sub"
  return config
"""


def prepare(folder: pathlib.Path) -> None:
  """Files that the commands name."""
  from PIL import Image

  (folder / "empty").mkdir()
  (folder / "sub").mkdir()
  for name in ("a.jpg", "sub/a.jpg"):
    Image.fromarray(photo(96, 64)).save(folder / name, quality=92)
  (folder / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:900])
  (folder / "text.jpg").write_text("no image")
  (folder / "a.sclc").write_text("no image either")
  (folder / "c.py").write_text(_CONFIG)
  os.symlink("a.jpg", folder / "link.jpg")


def main() -> None:
  parser = argument_parser(__doc__)
  parser.add_argument("--repeats", type=int, default=3, help="of each command")
  args = parser.parse_args()
  env = {k: v for k, v in os.environ.items() if k not in malloc.VARIABLES}
  print("seconds  code  command and what it says")
  with tempfile.TemporaryDirectory() as name:
    prepare(pathlib.Path(name))
    for command in COMMANDS.strip().splitlines():
      times = []
      for _ in range(args.repeats):
        start = time.perf_counter()
        done = subprocess.run(
          f"{sys.executable} -m sclc_jax {command}", shell=True, cwd=name,
          env=env, capture_output=True, text=True,
        )  # fmt: skip
        times.append(time.perf_counter() - start)
      print(f"{min(times):7.2f}  {done.returncode:>4}  sclc {command}")
      for line in done.stderr.splitlines():
        print(f"{'':15}{line}")


if __name__ == "__main__":
  main()
