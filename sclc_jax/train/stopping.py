"""How a run is asked to end: SIGTERM, or Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import threading


class Stop:
  """Takes SIGTERM and Ctrl-C; looked at between steps.

  A second Ctrl-C does what it would have done without.

  Attributes:
    asked: whether either has come.
    interrupted: whether Ctrl-C has.
  """

  def __init__(self):
    self.asked = self.interrupted = False
    self._previous = {}
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)
        # Ignored, as SIGINT is by what a shell starts in the background, or
        # not Python's.
        if previous not in (signal.SIG_IGN, None):
          self._previous[number] = signal.signal(number, self._ask)

  def close(self) -> None:
    """Gives the signals back to who had them."""
    for number, previous in self._previous.items():
      signal.signal(number, previous)

  def _ask(self, number: int, *unused) -> None:
    self.asked = True
    if number == signal.SIGINT:
      self.interrupted = True
      signal.signal(number, self._previous[number])
      # Python's own streams must not be written to from a signal's handler.
      with contextlib.suppress(OSError):
        os.write(2, b"\nCtrl-C: saves and stops; again to end at once\n")
