"""Runs the command line in this process, with streams of its own."""

import io
import sys
from typing import NamedTuple

from sclc_jax import cli

# A config file: a tiny model trains for three steps on the folder `photos`.
RECIPE = """
from sclc_jax.config import default_config_dict
def get_config():
  config = default_config_dict()
  config.model.N, config.model.M, config.model.levels = 4, 6, 2
  config.model.init = "wavelet"
  config.stages.base.steps = 3
  config.train.levels_per_image = config.train.log_every = 1
  config.train.checkpoint_every = 1
  config.data.source, config.data.crop_size = "folder:photos", 64
  config.data.batch_size = 1
  return config
"""


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
