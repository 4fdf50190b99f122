"""What all tests of training share."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def anew(compile_anew) -> None:
  """No training step is read from the tests' compilation cache."""


@pytest.fixture(scope="module", autouse=True)
def forget_programs(compile_anew) -> None:
  """Drops what earlier modules compiled.

  JAX 0.12 once ended in a segmentation fault as it compiled after hundreds of
  tests in one process; each program keeps memory mapped, of which Linux limits
  the number.
  """
  jax.clear_caches()
