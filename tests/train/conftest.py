"""What all tests of training share."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def anew(compile_anew) -> None:
  """No training step is read from the tests' compilation cache."""


@pytest.fixture(scope="module", autouse=True)
def forget_programs(compile_anew) -> None:
  """Drops what earlier modules compiled.

  JAX 0.12 once ended in a segmentation fault after hundreds of tests in one
  process. The step of a stage keeps 1,200 pieces of memory mapped for its code,
  whether it was compiled or read back, and Linux allows 65,530 a process.
  """
  jax.clear_caches()
