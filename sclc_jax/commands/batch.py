"""Many files at once: threads, a progress bar and a summary."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from sclc_jax.commands import streams
from sclc_jax.commands.common import (
  expected,
  hides_bars,
  note,
  report,
  result,
  tell_notes,
)
from sclc_jax.commands.jobs import Job
from sclc_jax.cpus import cpu_count
from sclc_jax.files import is_stdout, read_whole, write_whole


class Converted(NamedTuple):
  """What a command makes of a file.

  Attributes:
    data: to write.
    pixels: of the picture.
    text: for the file's line, beside its size and time; empty if nothing.
  """

  data: bytes
  pixels: int
  text: str = ""


# The bytes of a file and its name to what is written.
Convert = Callable[[bytes, str], Converted]

_BIG = 16_000_000  # pixels; such images take turns, for the memory's sake
_big = threading.Lock()


def turn(pixels: int) -> contextlib.AbstractContextManager:
  """Held while an image is coded: at most one large one at a time."""
  return _big if pixels > _BIG else contextlib.nullcontext()


def convert_files(args, jobs: list[Job], convert: Convert) -> None:
  """Converts files, several in flight; a failure does not stop the others.

  Reading, image formats and entropy coding of some files overlap with the
  transforms of others. Results and errors are told in the order of the inputs.

  Args:
    args: of the command.
    jobs: files to read, and what to write, each whole or not at all.
    convert: safe to call from threads.
  """
  import tqdm

  tell_notes(args)
  started = time.perf_counter()
  hidden = hides_bars(args) or len(jobs) == 1
  pool = concurrent.futures.ThreadPoolExecutor(_threads(len(jobs)))
  bar = tqdm.tqdm(total=len(jobs), disable=hidden, unit="file")
  done = size = pixels = 0
  try:
    futures = [pool.submit(_convert, job, convert) for job in jobs]
    for job, future in zip(jobs, futures):
      try:
        written = future.result()
      except (BrokenPipeError, streams.StdoutError):
        raise
      except Exception as error:
        if not expected(error):
          raise
        report(args, error, str(job.source or "stdin"))
      else:
        done, size = done + 1, size + written.size
        pixels += written.pixels
        silent = args.quiet or job.target is None or is_stdout(job.target)
        if not silent:
          result(job.target, written.line())
      bar.update()
  finally:
    bar.close()
    pool.shutdown(cancel_futures=True)
  if done + args.failures + args.skipped > 1 and not args.quiet:
    _summarise(args, done, pixels, size, time.perf_counter() - started)


def _summarise(args, done: int, pixels: int, size: int, seconds: float) -> None:
  files = "1 file" if done == 1 else f"{done} files"
  others = f"; {args.skipped} skipped" if args.skipped else ""
  others += f"; {args.failures} failed" if args.failures else ""
  note(
    args,
    f"{files}, {pixels / 1e6:.1f} MP, {size} bytes written in {seconds:.1f} s: "
    f"{pixels / 1e6 / seconds:.2f} MP/s{others}",
  )


class _Written(NamedTuple):
  """Bytes, pixels, seconds and the command's words of a file written."""

  size: int
  pixels: int
  seconds: float
  text: str

  def line(self) -> str:
    """What the file's line says of it."""
    parts = [f"{self.size} bytes", self.text, f"{self.seconds:.2f} s"]
    return ", ".join(part for part in parts if part)


def _convert(job: Job, convert: Convert) -> _Written:
  started = time.perf_counter()
  if job.source is None:
    data = streams.read_stdin()
  else:
    data = read_whole(job.source)
  made = convert(data, str(job.source or "stdin"))
  if job.target is None:
    streams.write_stdout(made.data)
  else:
    write_whole(job.target, made.data, make_folder=job.in_folder)
  seconds = time.perf_counter() - started
  return _Written(len(made.data), made.pixels, seconds, made.text)


def _threads(count: int) -> int:
  """One more than CPUs, so that reading and writing are hidden."""
  return min(count, cpu_count() + 1, 8)
