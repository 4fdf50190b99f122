"""Runs a pipeline of Apache Beam, on this machine or elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

LOCAL = "local"
_WORKER = "apache_beam.runners.worker.sdk_worker_main"
_SECONDS = 0.5  # from one look at the progress to the next


def run(
  build: Callable[[beam.Pipeline], None],
  runner: str = LOCAL,
  options: Sequence[str] = (),
  processes: int = 1,
) -> None:
  """Builds a pipeline, runs it and waits for its end.

  Args:
    build: adds the steps to the pipeline that it is given.
    runner: `local`, or the name of a runner of Beam.
    options: `--NAME=VALUE` each, for Beam and the runner.
    processes: of the local runner.

  Raises:
    ValueError: there is no such runner, or the pipeline failed.
  """
  flags = list(options)
  if runner == LOCAL:
    flags += [f"--direct_num_workers={processes}"]
  if not sys.flags.dev_mode:
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
  try:
    pipeline = beam.Pipeline(
      _Local(processes) if runner == LOCAL else runner, PipelineOptions(flags)
    )
  except (ValueError, ImportError) as error:
    raise ValueError(
      f"--runner {runner} cannot be used ({_line(error)}); give local, or the "
      "name of a runner that is installed."
    ) from None
  build(pipeline)
  try:
    with _interruptible(pipeline.runner):
      pipeline.run().wait_until_finish()
  except Exception as error:  # whatever a runner raises
    if sys.flags.dev_mode:
      raise
    raise ValueError(
      f"the pipeline failed ({_line(error)}); 'python -X dev -m sclc_jax' "
      "shows where."
    ) from None


class _Local(FnApiRunner):
  """Not Beam's DirectRunner, which tries to download another one at first."""

  def __init__(self, processes: int):
    self._pids = tempfile.NamedTemporaryFile(prefix="sclc-", mode="r")
    environment = None
    if processes > 1:
      # Errors come back from the processes; what else they print is about Beam.
      environment = SubprocessSDKEnvironment.from_command_string(
        f"echo $$ >> {shlex.quote(self._pids.name)}; exec "
        f"{shlex.quote(sys.executable)} -m {_WORKER} 2> {os.devnull}"
      )
    super().__init__(environment)

  def end_processes(self) -> None:
    """Ends them at once; Beam would wait for all that they have to do."""
    for pid in self._pids.read().split():
      with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGKILL)


@contextlib.contextmanager
def _interruptible(runner: beam.runners.PipelineRunner) -> Iterator[None]:
  """Lets Ctrl-C end the local runner's processes."""
  is_main = threading.current_thread() is threading.main_thread()
  if not (isinstance(runner, _Local) and is_main):
    yield
    return

  interrupted = False

  def interrupt(*unused):
    nonlocal interrupted
    interrupted = True
    # Beam's threads tell of the ended processes, some of them later than here.
    threading.excepthook = lambda args: None
    runner.end_processes()
    raise KeyboardInterrupt

  before = signal.signal(signal.SIGINT, interrupt)
  try:
    yield
  except Exception:
    if interrupted:  # which Beam takes for a failure of what it ran
      raise KeyboardInterrupt from None
    raise
  finally:
    signal.signal(signal.SIGINT, before)


def _line(error: Exception) -> str:
  """What an error says of its cause: the last of its lines."""
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return lines[-1].rstrip(".") if lines else type(error).__name__


class Ticks:
  """Counts what several processes do: a byte each, in one file a process."""

  def __init__(self, folder: str):
    """Takes a folder of this machine; counts nothing if it is empty."""
    self._folder = folder

  def add(self) -> None:
    """Counts one."""
    if self._folder:
      with open(os.path.join(self._folder, str(os.getpid())), "ab") as file:
        file.write(b".")

  def total(self) -> int:
    """How many there are so far."""
    files = pathlib.Path(self._folder).iterdir()
    return sum(file.stat().st_size for file in files)


@contextlib.contextmanager
def showing(ticks: Ticks, name: str, hidden: bool) -> Iterator[None]:
  """Shows a count on a progress bar while the body runs."""
  import tqdm

  ended = threading.Event()
  with tqdm.tqdm(disable=hidden, desc=name, unit="picture") as bar:

    def look() -> None:
      while not ended.wait(_SECONDS):
        bar.update(ticks.total() - bar.n)

    thread = threading.Thread(target=look)
    if not hidden:
      thread.start()
    try:
      yield
    finally:
      ended.set()
      if not hidden:
        thread.join()
        bar.update(ticks.total() - bar.n)
