"""`sclc`, and `python -m sclc_jax`: the command line, with malloc tuned."""

import sys

from sclc_jax import malloc


def start() -> int:
  """Runs the command line; its modules load after the restart alone."""
  malloc.restart()
  from sclc_jax import cli

  return cli.main()


if __name__ == "__main__":
  sys.exit(start())
