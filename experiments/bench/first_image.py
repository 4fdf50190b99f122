"""Import-to-file time and peak memory of one compression, and of a large photo.

    python experiments/bench/first_image.py [--megapixels 12]

Each measurement is a fresh process, as at the command line, with the default
model; the first run warms the file cache and is not counted. It also writes the
byte code of the libraries, which pip does as it installs them.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from common import argument_parser, photo

from sclc_jax import malloc

CODE = """
import json, resource, sys
from sclc_jax.__main__ import start
status = start()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"peak_mib": peak}))
sys.exit(status)
"""


def run(*args: object) -> dict:
  """Runs one `sclc` command in a fresh process: seconds and peak MiB."""
  start = time.perf_counter()
  command = [sys.executable, "-c", CODE, *map(str, args)]
  unwanted = {*malloc.VARIABLES, "PYTHONDONTWRITEBYTECODE"}
  env = {k: v for k, v in os.environ.items() if k not in unwanted}
  done = subprocess.run(command, capture_output=True, text=True, env=env)
  if done.returncode:
    sys.exit(done.stderr[-2000:])
  seconds = time.perf_counter() - start
  return {"s": seconds, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
  from PIL import Image

  parser = argument_parser(__doc__, "--model")
  parser.add_argument(
    "--megapixels", type=float, default=12, help="size of the photo"
  )
  args = parser.parse_args()
  model = ["--model", args.model] if args.model else []
  side = args.megapixels * 1e6
  width = round((side * 4 / 3) ** 0.5)
  sizes = {"768x512": (768, 512), "large": (width, round(width * 3 / 4))}
  print("photo            command     seconds  peak_mib")
  with tempfile.TemporaryDirectory() as folder:
    for name, size in sizes.items():
      path = pathlib.Path(folder) / f"{name}.png"
      Image.fromarray(photo(*size)).save(path)
      coded, back = path.with_suffix(".sclc"), path.with_suffix(".out.png")
      commands = {
        "compress": ("compress", path, "-o", coded, *model),
        "decompress": ("decompress", coded, "-o", back, *model),
      }
      for command, words in commands.items():
        if name == "768x512":
          run(*words)
        figures = run(*words)
        shape = f"{size[0]}x{size[1]}"
        print(
          f"{shape:<15}  {command:<10}  {figures['s']:7.1f}  "
          f"{figures['peak_mib']:8.0f}"
        )


if __name__ == "__main__":
  main()
