"""Reading compiled programs as text."""

import jax
import jax.numpy as jnp
import pytest

from sclc_jax.plan import hlo

TUPLE = """\
HloModule jit_f, is_scheduled=true

FileNames
1 "/home/x/sclc_jax/nn/gdn.py"
2 "/usr/lib/site-packages/jax/lax.py"

FunctionNames
1 "f"

FileLocations
1 {file_name_id=1 function_name_id=1 line=40 end_line=40}
2 {file_name_id=2 function_name_id=1 line=7 end_line=7}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}

ENTRY %main.1 (p.0: f32[8,3]) -> (f32[8,3], bf16[2]) {
  %p.0 = f32[8,3]{1,0:T(8,128)} parameter(0)
  %start = (f32[8,3]{1,0:T(8,128)S(1)}, f32[8,3]{1,0:T(8,128)}, \
u32[]{:S(2)}) copy-start(%p.0), backend_config={"a":"(b"}
  %constant.1 = bf16[2]{0} constant({1, 2}), metadata={op_name="jit(f)/c" \
stack_frame_id=2}
  ROOT %t = (f32[8,3]{1,0}, /*index=1*/bf16[2]{0}) tuple(%p.0, %constant.1)
}
"""


def test_shapes_spaces_and_operands_are_read():
  program = hlo.parse(TUPLE)
  start = program.entry.instructions["start"]
  assert [a.in_memory for a in start.arrays] == [False, True, False]
  assert [a.bytes for a in start.arrays] == [96, 96, 4]
  assert (start.opcode, start.operands) == ("copy-start", ("p.0",))
  assert program.entry.root.operands == ("p.0", "constant.1")
  assert program.entry.root.bytes == 100


def test_an_operation_is_traced_to_the_line_of_the_package_that_called_it():
  constant = hlo.parse(TUPLE).entry.instructions["constant.1"]
  assert constant.source == "sclc_jax/nn/gdn.py:40"
  assert constant.op_name == "jit(f)/c"


def test_what_this_machine_compiles_is_read_whole():
  """Every operand is defined, and every computation that is called."""

  def f(x):
    y, _ = jax.lax.scan(lambda y, _: (jnp.sin(y @ x), None), x, length=3)
    return jax.lax.cond(y.sum() > 0, jnp.linalg.inv, lambda y: y.T, y)

  shape = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  program = hlo.parse(jax.jit(f).lower(shape).compile().as_text())
  assert program.entry.parameters[0].bytes == 8 * 8 * 4
  for computation in program.computations.values():
    assert computation.root
    for instruction in computation.instructions.values():
      assert set(instruction.operands) <= computation.instructions.keys()
      assert set(instruction.called) <= program.computations.keys()


def test_other_text_is_refused():
  with pytest.raises(ValueError, match="no compiled HLO text"):
    hlo.parse("func.func public @main() {\n}\n")
