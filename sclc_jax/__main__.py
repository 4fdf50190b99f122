"""`sclc`, and `python -m sclc_jax`: the command line, with huge pages."""

import sys

from sclc_jax import huge_pages


def start() -> int:
  """Runs the command line; its modules load after the restart alone."""
  huge_pages.restart()
  from sclc_jax import cli

  return cli.main()


if __name__ == "__main__":
  sys.exit(start())
