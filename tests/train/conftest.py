"""What all tests of training share."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def anew(compile_anew) -> None:
  """No training step is read from the tests' compilation cache."""
