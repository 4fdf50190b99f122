"""stdin, stdout and stderr, even if closed, full, or limited to ASCII."""

from __future__ import annotations

import codecs
import os
import sys

from sclc_jax.files import read_stream

_ERRORS = "sclc.bytes_or_escapes"


class StdoutError(Exception):
  """Stdout cannot be written; its text says why."""


def prepare() -> None:
  """Makes the streams safe to use; names of any bytes can be written.

  A closed descriptor is taken by what can be neither read nor written, so that
  no file that is opened later gets its number.
  """
  flags = os.O_WRONLY, os.O_RDONLY, os.O_RDONLY
  for descriptor, flag in enumerate(flags):
    try:
      os.fstat(descriptor)
    except OSError:
      os.open(os.devnull, flag)  # takes the lowest free number: this one
  codecs.register_error(_ERRORS, _bytes_or_escapes)
  for name in ("stdout", "stderr"):
    if getattr(sys, name) is None:
      setattr(sys, name, open(os.devnull, "w"))
    stream = getattr(sys, name)
    if hasattr(stream, "reconfigure"):
      stream.reconfigure(errors=_ERRORS)


def _bytes_or_escapes(error: UnicodeError) -> tuple[str | bytes, int]:
  """Bytes of names that are not UTF-8 as they are, else \\x escapes."""
  try:
    return codecs.lookup_error("surrogateescape")(error)
  except UnicodeError:
    return codecs.lookup_error("backslashreplace")(error)


def stdout_is_closed() -> bool:
  """Whether this process was started without a stdout."""
  return sys.__stdout__ is None


def check_stdin() -> None:
  """Raises a ValueError where this process was started without one."""
  if sys.stdin is None:
    raise ValueError("stdin is closed; give a file in place of -.")


def read_stdin() -> bytes:
  """All of it; a ValueError where it cannot be read."""
  check_stdin()
  try:
    return read_stream(sys.stdin.buffer, "stdin")
  except OSError as error:
    raise ValueError(
      f"cannot read stdin: {error.strerror or error}; give a file in place "
      "of -."
    ) from None


def write_stdout(data: bytes) -> None:
  """Writes what is no text.

  Raises:
    ValueError: it is closed.
    StdoutError: it cannot be written.
    BrokenPipeError: its reader has gone.
  """
  if stdout_is_closed():
    raise ValueError("stdout is closed; name a file with -o.")
  try:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
  except BrokenPipeError:
    raise
  except OSError as error:
    raise StdoutError(error.strerror) from error


def shown(name: object) -> str:
  """A name on one line: what is not printable is escaped.

  Bytes that are not UTF-8 stay, as they are what others find the file by.
  """
  return "".join(
    c if c.isprintable() or "\udc80" <= c <= "\udcff" else repr(c)[1:-1]
    for c in str(name)
  )


def printable(name: object) -> str:
  """A name in characters that a font may show."""
  return shown(name).encode(errors="backslashreplace").decode()


def tell(text: str) -> None:
  """Prints a line on stdout, above the progress bar where there is one.

  Raises:
    StdoutError: it cannot be written.
    BrokenPipeError: its reader has gone.
  """
  try:
    _print(text, sys.stdout)
  except BrokenPipeError:
    raise
  except OSError as error:
    raise StdoutError(error.strerror) from error


def _print(text: str, stream) -> None:
  if "tqdm" in sys.modules:
    sys.modules["tqdm"].tqdm.write(text, file=stream)
  else:
    print(text, file=stream)


def tell_error(text: str) -> None:
  """Prints a line on stderr, where that can be written."""
  try:
    _print(text, sys.stderr)
  except OSError:
    _discard(sys.stderr, 2)


def finish() -> None:
  """Writes what stdout still holds.

  Raises:
    StdoutError: it cannot be written.
    BrokenPipeError: its reader has gone.
  """
  try:
    sys.stdout.flush()
  except OSError as error:
    _discard(sys.stdout, 1)
    if isinstance(error, BrokenPipeError):
      raise
    raise StdoutError(error.strerror) from error


def _discard(stream, descriptor: int) -> None:
  """What is left in it goes nowhere, and is no error once more at the end."""
  sink = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(sink, stream.fileno())
  except (OSError, ValueError):
    os.dup2(sink, descriptor)
  os.close(sink)
