"""What a stage needs, from a tiny model compiled for this machine."""

import dataclasses

import jax
import pytest

from sclc_jax.config import from_dict
from sclc_jax.plan import stage as planning
from sclc_jax.plan.chips import Chip, chip_of
from sclc_jax.train.stages import Stage, stages

CHIP = Chip("a chip", 200e12, 100e12, 1e12, 2**34)
CONFIG = from_dict(
  {
    "model": {"N": 2, "M": 2, "init": "wavelet"},
    "stages": {"base": {"steps": 7}},
    "data": {"batch_size": 2, "crop_size": 64},
  }
)


@pytest.fixture(scope="module")
def plan():
  devices = tuple(jax.devices()[:1])
  return planning.plan_stage(CONFIG, stages(CONFIG)[0], devices, CHIP, 0, None)


def test_a_compiled_stage_has_memory_work_and_traffic(plan):
  assert plan.fits and plan.chips == 1 and plan.share == 2
  assert 0 < plan.fixed < plan.memory < 2**27
  assert plan.flops > 1e6
  # the crops at least, as bytes and as floats
  assert plan.traffic_bytes > 2 * 64 * 64 * 3 * 5
  assert plan.hours == pytest.approx(plan.step_s * 7 / 3600)
  assert plan.images_per_s == pytest.approx(2 / plan.step_s)


def test_precision_decides_which_rate_of_the_chip_counts(plan):
  assert plan.peak == CHIP.flops_float32
  assert plan.compute_s == plan.flops / 100e12


def test_what_takes_longer_bounds_the_step(plan):
  fast = dataclasses.replace(CHIP, bandwidth=1e30)
  slow = dataclasses.replace(CHIP, bandwidth=1.0)
  assert dataclasses.replace(plan, chip=fast).bound == "compute"
  assert dataclasses.replace(plan, chip=fast).step_s == plan.compute_s
  assert dataclasses.replace(plan, chip=slow).bound == "traffic"


def _of(share: int, limit: float = 1000.0) -> planning.StagePlan:
  """A stage whose memory is 100 + 50 a batch, of which 60 are known fixed."""
  return planning.StagePlan(
    Stage("base", 0, 7), 4, share, CHIP, 1.0, 1, 100 + 50 * share, 60, limit,
    [],
  )  # fmt: skip


def test_the_estimate_of_the_largest_batch_is_a_lower_one():
  assert all(_of(share).likely_share <= 18 for share in range(1, 18))
  assert _of(17).likely_share == 17


@pytest.mark.parametrize("first", [1, 2, 17, 18, 19, 40])
def test_the_largest_batch_is_reached_in_few_compilations(first):
  tried = []

  def attempt(share):
    tried.append(share)
    return _of(share)

  assert planning.largest_share(_of(first), attempt) == 18
  assert len(tried) <= 3


@pytest.mark.parametrize("first", [4, 12, 16, 20])
def test_the_largest_batch_divides_into_its_parts(first):
  def attempt(share):
    assert share % 4 == 0
    return _of(share)

  assert planning.largest_share(_of(first), attempt, parts=4) == 16


def test_where_not_one_example_fits_the_largest_batch_is_none():
  assert planning.largest_share(_of(1, 99), lambda share: _of(share, 99)) == 0


def test_a_device_of_no_table_is_measured():
  chip = chip_of(jax.devices()[0])
  assert 1e8 < chip.flops < 1e16 and 1e8 < chip.bandwidth < 1e14
  assert chip.memory > 2**20
