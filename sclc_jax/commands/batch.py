"""Many files at once: threads, a progress bar and a summary."""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import sys
import threading
import time
from collections.abc import Callable

import tqdm

from sclc_jax.commands.common import Failure, note, report
from sclc_jax.cpus import cpu_count

# A file's bytes and its name to the output and the number of pixels.
Convert = Callable[[bytes, str], tuple[bytes, int]]

_BIG = 16_000_000  # pixels; such images take turns, for the memory's sake
_big = threading.Lock()


def turn(pixels: int) -> contextlib.AbstractContextManager:
  """Held while an image is coded: at most one large one at a time."""
  return _big if pixels > _BIG else contextlib.nullcontext()


def convert_files(
  args,
  sources: list[pathlib.Path],
  targets: list[pathlib.Path],
  convert: Convert,
  replace: bool,
) -> None:
  """Converts files, several in flight; a failure does not stop the others.

  Reading, image formats and entropy coding of some files overlap with the
  transforms of others. Results and errors are told in the order of the inputs.

  Args:
    args: of the command.
    sources: files to read.
    targets: files to write, each whole or not at all.
    convert: safe to call from threads.
    replace: existing targets, and those of earlier sources, are replaced.

  Raises:
    Failure: some failed.
  """
  from sclc_jax.files import write_whole

  started = time.perf_counter()

  def one(source, target, earlier) -> tuple[int, int]:
    taken = target.exists()
    if earlier is not None:
      taken = earlier.exception() is None or taken  # waits for it
    if taken and not replace:
      raise ValueError(
        f"{target} exists already; remove it, name another output with -o, "
        "or replace it with --force."
      )
    try:
      data = source.read_bytes()
    except OSError as error:
      raise ValueError(f"cannot read {source}: {error.strerror}.") from None
    data, pixels = convert(data, str(source))
    write_whole(target, data)
    return len(data), pixels

  failed = size = pixels = 0
  hidden = args.quiet or len(sources) == 1 or not sys.stderr.isatty()
  pool = concurrent.futures.ThreadPoolExecutor(_threads(len(sources)))
  bar = tqdm.tqdm(total=len(sources), disable=hidden, unit="file")
  try:
    last: dict[pathlib.Path, concurrent.futures.Future] = {}
    futures = []
    for source, target in zip(sources, targets):
      last[target] = pool.submit(one, source, target, last.get(target))
      futures.append(last[target])
    for source, target, future in zip(sources, targets, futures):
      try:
        done = future.result()
        size, pixels = size + done[0], pixels + done[1]
        tqdm.tqdm.write(f"{target}\t{done[0]} bytes")
      except (ValueError, OSError) as error:
        failed += 1
        report(args, error, str(source))
      bar.update()
  finally:
    bar.close()
    pool.shutdown(cancel_futures=True)
  if len(sources) > 1 and not (args.quiet or failed):
    seconds = time.perf_counter() - started
    note(
      args,
      f"{len(sources)} files, {pixels / 1e6:.1f} MP, {size} bytes written in "
      f"{seconds:.1f} s: {pixels / 1e6 / seconds:.2f} MP/s",
    )
  if failed:
    raise Failure


def _threads(count: int) -> int:
  """One more than CPUs, so that reading and writing are hidden."""
  return min(count, cpu_count() + 1, 8)
