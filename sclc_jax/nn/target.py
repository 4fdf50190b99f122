"""The platform that a program is traced for: `cpu`, `gpu` or `tpu`.

Some layers have a form for each. A program may be compiled for devices that
this machine does not have, so its own default decides only where nothing else
was said.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_platform = contextvars.ContextVar[str | None]("platform", default=None)


def platform() -> str:
  """Of the devices that will run what is being traced."""
  return _platform.get() or jax.default_backend()


@contextlib.contextmanager
def traced_for(name: str) -> Iterator[None]:
  """Around the tracing of a program for devices of that platform."""
  token = _platform.set(name)
  try:
    yield
  finally:
    _platform.reset(token)
