"""What a person sees of a run: lines, a bar, and how fast it goes."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import tqdm

from sclc_jax.train import parallel


def say(text: str) -> None:
  """One line on stderr, from the first process; leaves the bar whole."""
  if parallel.is_first_process():
    tqdm.tqdm.write(text, file=sys.stderr)


class Bar(tqdm.tqdm):
  """A bar of steps; its estimate of the time left is that of `rate`.

  tqdm's own counts compilation and restoring as if they came back.

  Attributes:
    rate: steps a second, 0 while it is not known.
  """

  rate = 0.0

  @property
  def format_dict(self) -> dict[str, Any]:
    """What is shown."""
    return super().format_dict | {"rate": self.rate}

  def show(self, row: dict[str, Any], rate: float) -> None:
    """Shows a row of the log.

    Args:
      row: as `logs.TrainingLog.write` takes it.
      rate: steps a second; the last one stays where it is 0.
    """
    self.rate = rate or self.rate
    texts = [f"{row['stage']} loss {row['loss']:.3f}"]
    drawn = [k for k, v in row.items() if k.startswith("psnr_db_") and v]
    if drawn:
      top = drawn[-1].removeprefix("psnr_db_")
      psnr, bpp = row[f"psnr_db_{top}"], row[f"bpp_{top}"]
      texts.append(f"level {top} {psnr:.2f} dB {bpp:.3f} bpp")
    texts.append(f"lr {row['lr']:.2g}")
    if row["grad_norm"] is not None:
      texts.append(f"grad {row['grad_norm']:.3g}")
    if row["images_per_s"] is not None:
      texts.append(f"{row['images_per_s']:.3g} images/s")
      texts.append(f"data {100 * row['data_wait']:.0f} %")
      if row["peak_share"] is not None:
        texts.append(f"{100 * row['peak_share']:.0f} % of the peak")
    if row["skipped"]:
      texts.append(f"skipped {row['skipped']}")
    self.set_postfix_str(", ".join(texts))


class Stopwatch:
  """Times the steps of a stage between its reports.

  Attributes:
    rate: steps a second of the stage so far, with validation and checkpoints,
      without compilation; 0 while it is not known.
  """

  def __init__(self, batch_size: int):
    self.rate = 0.0
    self._batch_size = batch_size
    self._total_steps = 0
    self._total_s = 0.0
    self._start()

  def _start(self) -> None:
    self._since = time.monotonic()
    self._steps = 0
    self._paused_s = self._waited_s = 0.0

  def count(self, steps: int) -> None:
    """Takes steps that are timed."""
    self._steps += steps

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """While it waits for data."""
    start = time.monotonic()
    yield
    self._waited_s += time.monotonic() - start

  @contextlib.contextmanager
  def paused(self, comes_again: bool) -> Iterator[None]:
    """While something else than training goes on.

    Args:
      comes_again: whether the time left should count with it.
    """
    start, waited = time.monotonic(), self._waited_s
    yield
    elapsed = time.monotonic() - start
    self._paused_s += elapsed
    self._waited_s = waited
    if comes_again:
      self._total_s += elapsed

  def lap(self) -> dict[str, float | None]:
    """Columns of the log for the steps since the last time.

    Returns:
      images_per_s, of all devices; step_ms; data_wait, the fraction of the time
      that was spent waiting for data. None if no step was timed.
    """
    elapsed = time.monotonic() - self._since - self._paused_s
    steps, waited = self._steps, self._waited_s
    self._start()
    if not steps:
      return dict.fromkeys(("images_per_s", "step_ms", "data_wait"))
    self._total_steps += steps
    self._total_s += elapsed
    self.rate = self._total_steps / self._total_s
    return {
      "images_per_s": self._batch_size * steps / elapsed,
      "step_ms": 1000 * elapsed / steps,
      "data_wait": min(waited / elapsed, 1.0),
    }
