"""Speed and time left are those of the steps, without what is not training."""

import io

import pytest

from sclc_jax.train import progress


@pytest.fixture
def clock(monkeypatch):
  """A clock that the test moves: a list of its one reading, in seconds."""
  now = [100.0]
  monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
  return now


def test_a_stopwatch_leaves_out_compilation_and_what_is_paused(clock):
  watch = progress.Stopwatch(batch_size=8)
  with watch.paused(comes_again=False):  # compiles, and waits for data
    with watch.waiting():
      clock[0] += 20
    clock[0] += 100
  nothing = dict.fromkeys(("images_per_s", "step_ms", "data_wait"))
  assert watch.lap() == nothing and watch.rate == 0
  for _ in range(4):
    with watch.waiting():
      clock[0] += 0.5
    clock[0] += 1.5
    watch.count(1)
  with watch.paused(comes_again=True):  # validates
    clock[0] += 8
  lap = {"images_per_s": 4.0, "step_ms": 2000.0, "data_wait": 0.25}
  assert watch.lap() == pytest.approx(lap)
  assert watch.rate == pytest.approx(4 / 16)  # the time left counts that
  assert watch.lap() == nothing and watch.rate == pytest.approx(4 / 16)


def test_the_bar_estimates_by_the_rate_it_is_given():
  bar = progress.Bar(total=110, initial=10, file=io.StringIO())
  bar.start_t -= 1000  # as if it had restored and compiled for so long
  bar.update(10)
  assert "<?" in str(bar)
  row = {"stage": "base", "loss": 1.0, "lr": 1e-4, "skipped": 0}
  levels = {"psnr_db_1": 30.0, "bpp_1": 0.2, "psnr_db_2": None, "bpp_2": None}
  speed = {"images_per_s": 4.0, "step_ms": 500.0, "data_wait": 0.25,
           "peak_share": 0.4}  # fmt: skip
  bar.show(row | levels | {"grad_norm": 2.0} | speed, rate=2.0)
  assert "<00:45, " in str(bar)
  assert "level 1 30.00 dB 0.200 bpp, lr 0.0001, grad 2" in str(bar)
  assert "4 images/s, data 25 %, 40 % of the peak" in str(bar)
  assert "skipped" not in str(bar)
  nothing = dict.fromkeys(("grad_norm", *speed))
  bar.show(row | levels | nothing | {"skipped": 3}, rate=0.0)
  assert "<00:45, " in str(bar) and "skipped 3" in str(bar)
