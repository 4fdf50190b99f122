"""Programs that are compiled ahead of time, and kept."""

import jax
import jax.numpy as jnp
import pytest

from sclc_jax.plan import compiled

SHAPE = jax.ShapeDtypeStruct((1, 64), jnp.float32)
SHAPES = (SHAPE, (), SHAPE)
# As libtpu and, before it, XLA word it.
TOO_LARGE = (
  "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the "
  "total memory required for HLO temporaries (384.00G) exceeds available HBM "
  "(15.75G). HLO module: jit__fun.",
  "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in "
  "memory space hbm. Used 384.00G of 15.75G hbm. Exceeded hbm capacity by",
)


def _compile(folder, step=None):
  step = step or jax.pmap(lambda x, _, y: x * y, donate_argnums=0)
  return compiled.compile_step(step, SHAPES, tuple(jax.devices()), folder)


def test_memory_is_that_of_arguments_results_and_what_lies_between():
  result = _compile(None)
  # x, which the result takes the place of, and y
  assert 2 * 64 * 4 <= result.memory < 2**20
  assert result.memory - result.fixed >= 64 * 4
  assert "ENTRY" in result.text and result.limit == 0


def test_what_was_compiled_is_read_back_and_another_program_is_not(tmp_path):
  first = _compile(str(tmp_path))
  assert _compile(str(tmp_path)) == first
  assert len(list(tmp_path.iterdir())) == 1
  _compile(str(tmp_path), jax.pmap(lambda x, _, y: x + y))
  assert len(list(tmp_path.iterdir())) == 2


class Failing:
  """A step that cannot be compiled, as JAX reports it."""

  def __init__(self, text):
    self.text = text

  def lower(self, *shapes):
    return self

  def as_text(self):
    return self.text

  def compile(self):
    raise RuntimeError(self.text)


@pytest.mark.parametrize("text", TOO_LARGE)
def test_too_little_memory_is_a_result_with_both_figures(text):
  result = _compile(None, Failing(text))
  assert (result.memory, result.limit) == (384 * 2**30, int(15.75 * 2**30))
  assert result.text == ""


def test_other_failures_of_the_compiler_are_not_hidden():
  with pytest.raises(RuntimeError, match="INTERNAL"):
    _compile(None, Failing("INTERNAL: no such thing"))
