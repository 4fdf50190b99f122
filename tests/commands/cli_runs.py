"""Runs the command line in this process, with streams of its own."""

import io
import sys
from typing import NamedTuple

from sclc_jax import cli


class Done(NamedTuple):
  """What a command gave."""

  code: int
  out: bytes
  err: str

  @property
  def errors(self) -> list[str]:
    return [line for line in self.err.splitlines() if ": error: " in line]


def run(*args, stdin: bytes = b"", encoding: str = "utf-8") -> Done:
  """Runs a command in this process, with streams of its own."""
  out, err = io.BytesIO(), io.BytesIO()
  before = sys.stdin, sys.stdout, sys.stderr
  sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
  sys.stdout = texts = io.TextIOWrapper(out, encoding=encoding)
  sys.stderr = errors = io.TextIOWrapper(err, encoding=encoding)
  try:
    code = cli.main([str(arg) for arg in args])
  except SystemExit as error:
    code = error.code
  finally:
    texts.flush()
    errors.flush()
    sys.stdin, sys.stdout, sys.stderr = before
  return Done(code, out.getvalue(), err.getvalue().decode(errors="replace"))
