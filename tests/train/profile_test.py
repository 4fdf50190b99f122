"""Which steps are traced, and what is said of it."""

import jax
import pytest

from sclc_jax.train.profile import Profile, check


@pytest.fixture
def traces(monkeypatch) -> list[str]:
  """What was asked of JAX's profiler."""
  asked = []
  monkeypatch.setattr(jax.profiler, "start_trace", asked.append)
  monkeypatch.setattr(jax.profiler, "stop_trace", lambda: asked.append("stop"))
  return asked


def _run(profile: Profile, calls: range, compiles=()) -> None:
  for step in calls:
    profile.before(step, step in compiles)
    if profile.is_over(step + calls.step):
      profile.end()
  profile.close()


@pytest.mark.parametrize(
  ("steps", "calls", "compiles", "first", "last"),
  [
    (range(3, 6), range(10), (0,), 3, 6),
    (range(0, 6), range(10), (0, 1), 2, 6),  # without compilations
    (range(8, 20), range(10), (), 8, 10),  # the run ends first
    (range(7, 15), range(0, 40, 5), (), 10, 15),  # calls of several steps
  ],
)
def test_the_calls_within_a_range_are_traced(
  traces, capsys, steps, calls, compiles, first, last
):
  _run(Profile(steps, "here", "W/tensorboard"), calls, compiles)
  assert traces == ["here", "stop"]
  assert capsys.readouterr().err == (
    f"steps {first} to {last} are traced in W/tensorboard/plugins/profile; "
    "TensorBoard shows that under Profile\n"
  )


def test_a_process_that_does_not_trace_waits_after_the_same_calls(
  traces, capsys
):
  steps = range(3, 6)
  one, other = Profile(steps, "here", "W"), Profile(steps, None, "W")
  for step in range(10):
    for profile in (one, other):
      profile.before(step, step == 0)
    assert one.is_over(step + 1) == other.is_over(step + 1) == (step == 5)
    if one.is_over(step + 1):
      one.end()
      other.end()
  assert traces == ["here", "stop"]


def test_a_range_of_which_nothing_was_traced_is_told(traces, capsys):
  _run(Profile(range(2, 4), "here", "W"), range(6), compiles=(2, 3))
  assert not traces
  assert "no step of --profile 2:4 was traced" in capsys.readouterr().err
  _run(Profile(range(0), "here", "W"), range(6))
  assert not traces and not capsys.readouterr().err


@pytest.mark.parametrize(("begin", "last"), [(0, 5), (9, 20), (12, 20)])
def test_a_range_outside_of_a_run_is_refused(begin, last):
  check(None, begin, last)
  check(range(begin, begin + 1), begin, last)
  with pytest.raises(ValueError, match="--profile 5:9 lies outside .*to step"):
    check(range(5, 9), begin, last)
