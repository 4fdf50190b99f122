"""`sclc`, and `python -m sclc_jax`: the command line, with malloc tuned."""

import sys

from sclc_jax import malloc


def start() -> int:
  """Runs the command line; its modules load after the restart alone."""
  training = sys.argv[1:2] in (["train"], ["sweep"])
  malloc.restart(malloc.KEEP if training else malloc.HUGE_PAGES)
  from sclc_jax import cli

  return cli.main()


if __name__ == "__main__":
  sys.exit(start())
