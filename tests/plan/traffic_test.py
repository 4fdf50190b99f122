"""What a compiled program moves through main memory."""

import jax
import jax.numpy as jnp
import pytest

from sclc_jax.plan import hlo, traffic

ONE = 4 * 1024  # bytes of the arrays below
# As XLA writes it for a TPU: S(1) is on the chip.
TPU = """\
HloModule jit_f, is_scheduled=true

%sliced (p0: f32[16,64], p1: s32[]) -> f32[1,64] {
  %p0 = f32[16,64]{1,0} parameter(0)
  %p1 = s32[] parameter(1)
  ROOT %d = f32[1,64]{1,0} dynamic-slice(%p0, %p1, %p1), \
dynamic_slice_sizes={1,64}
}

%updated (q0: f32[16,64], q1: f32[1,64], q2: s32[]) -> f32[16,64] {
  %q0 = f32[16,64]{1,0} parameter(0)
  %q1 = f32[1,64]{1,0} parameter(1)
  %q2 = s32[] parameter(2)
  ROOT %u = f32[16,64]{1,0} dynamic-update-slice(%q0, %q1, %q2, %q2)
}

%body (b: (s32[], f32[16,64])) -> (s32[], f32[16,64]) {
  %b = (s32[], f32[16,64]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%b), index=0
  %x = f32[16,64]{1,0} get-tuple-element(%b), index=1
  %n = f32[16,64]{1,0} negate(%x)
  ROOT %bt = (s32[], f32[16,64]{1,0}) tuple(%i, %n)
}

%condition (c: (s32[], f32[16,64])) -> pred[] {
  %c = (s32[], f32[16,64]{1,0}) parameter(0)
  %ci = s32[] get-tuple-element(%c), index=0
  %five = s32[]{:T(128)} constant(5), metadata={op_name="jit(f)"}
  ROOT %y = pred[] compare(%ci, %five), direction=LT
}

%cheap (e: f32[16,64]) -> f32[16,64] {
  ROOT %e = f32[16,64]{1,0} parameter(0)
}

%dear (g: f32[16,64]) -> f32[16,64] {
  %g = f32[16,64]{1,0} parameter(0)
  ROOT %exp = f32[16,64]{1,0} exponential(%g)
}

ENTRY %main (a: f32[16,64], k: s32[]) -> f32[16,64] {
  %a = f32[16,64]{1,0:T(8,128)} parameter(0)
  %k = s32[] parameter(1)
  %zero = s32[]{:S(1)} constant(0)
  %cs = (f32[16,64]{1,0:T(8,128)S(1)}, f32[16,64]{1,0}, u32[]{:S(2)}) \
copy-start(%a), metadata={op_name="prefetch"}
  %cd = f32[16,64]{1,0:T(8,128)S(1)} copy-done(%cs)
  %sin = f32[16,64]{1,0:T(8,128)S(1)} sine(%cd)
  %out = f32[16,64]{1,0:T(8,128)} copy(%sin), metadata={op_name="store"}
  %row = f32[1,64]{1,0:S(1)} fusion(%out, %zero), kind=kLoop, calls=%sliced
  %new = f32[16,64]{1,0} fusion(%out, %row, %zero), kind=kLoop, calls=%updated
  %sum = f32[16,64]{1,0:S(1)} all-reduce(%sin), replica_groups={}
  %token = token[] after-all()
  %send = (f32[16,64]{1,0}, u32[], token[]) send(%out, %token), channel_id=1
  %sent = token[] send-done(%send), channel_id=1
  %init = (s32[], f32[16,64]{1,0}) tuple(%k, %new)
  %loop = (s32[], f32[16,64]{1,0}) while(%init), condition=%condition, \
body=%body
  %after = f32[16,64]{1,0} get-tuple-element(%loop), index=1
  ROOT %cond = f32[16,64]{1,0} conditional(%k, %after, %after), \
branch_computations={%cheap, %dear}
}
"""


@pytest.fixture(scope="module")
def counted():
  return {o.name: o for o in traffic.operations(hlo.parse(TPU))}


def test_what_lies_on_the_chip_does_not_count(counted):
  assert (counted["cs"].read, counted["cs"].written) == (ONE, 0)
  assert counted["sin"].bytes == counted["sum"].bytes == 0
  assert (counted["out"].read, counted["out"].written) == (0, ONE)


def test_of_what_is_sliced_or_updated_the_part_counts(counted):
  assert (counted["row"].read, counted["row"].written) == (ONE // 16, 0)
  assert (counted["new"].read, counted["new"].written) == (0, ONE // 16)


def test_a_loop_counts_as_often_as_it_runs(counted):
  assert counted["n"].bytes == 5 * 2 * ONE


def test_of_a_conditional_the_branch_that_moves_least_counts(counted):
  assert "exp" not in counted


def test_what_goes_to_another_slice_counts_once(counted):
  assert (counted["send"].read, counted["send"].written) == (ONE, 0)
  assert counted["send"].size >= ONE and "sent" not in counted


def test_operations_are_told_apart_by_what_they_do(counted):
  kinds = {name: operation.kind for name, operation in counted.items()}
  assert kinds["cs"] == kinds["row"] == "copy"
  assert kinds["sin"] == "other"
  assert kinds["sum"] == kinds["send"] == "collective"


def test_the_steps_of_a_call_share_its_traffic(counted):
  four = traffic.operations(hlo.parse(TPU), steps=4)
  assert traffic.total(four) == traffic.total(counted.values()) / 4


def test_groups_add_up_to_the_whole(counted):
  groups = traffic.grouped(counted.values(), lambda o: o.kind)
  assert sum(groups.values()) == traffic.total(counted.values())
  assert list(groups.values()) == sorted(groups.values(), reverse=True)


@pytest.mark.parametrize("trips", [1, 7])
def test_products_in_a_loop_are_counted_on_this_machine(trips):
  """Of [64, 64] arrays: each product reads two and writes one."""

  def f(x, y):
    return jax.lax.fori_loop(0, trips, lambda _, x: x @ y, x)

  shape = jax.ShapeDtypeStruct((64, 64), jnp.float32)
  program = hlo.parse(jax.jit(f).lower(shape, shape).compile().as_text())
  products = [o for o in traffic.operations(program) if o.kind == "convolution"]
  assert traffic.total(products) == pytest.approx(trips * 3 * 64 * 64 * 4)
