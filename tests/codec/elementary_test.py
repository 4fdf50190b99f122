import hashlib

import numpy as np
import pytest
import scipy.special

from sclc_jax.codec import elementary

# Of the values below, in any environment.
DIGEST = "b69aec5f13a63b9375fac17f331ce57449d3d1978594953ecc4c656069816e6c"
RANGE = np.concatenate([np.linspace(-40, 40, 4001), [-745.0, 700.0, 1e-9]])


@pytest.mark.parametrize(
  ("ours", "reference", "x"),
  [
    (elementary.exp, np.exp, RANGE),
    (elementary.log, np.log, np.exp(RANGE)),
    (elementary.sigmoid, scipy.special.expit, RANGE),
    (elementary.ndtr, scipy.special.ndtr, RANGE[np.abs(RANGE) < 37]),
  ],
)
def test_functions_are_those_of_the_library_to_13_digits(ours, reference, x):
  np.testing.assert_allclose(ours(x), reference(x), rtol=1e-13, atol=1e-15)


def test_hyperbolic_ones_too():
  x = RANGE
  np.testing.assert_allclose(elementary.tanh(x), np.tanh(x), atol=4e-16)
  np.testing.assert_allclose(
    elementary.softplus(x), np.logaddexp(0, x), rtol=1e-13, atol=4e-16
  )


def test_whole_powers_of_two_have_exact_binary_logarithms():
  powers = np.arange(-60, 61)
  np.testing.assert_array_equal(elementary.floor_log2(2.0**powers), powers)
  below = np.nextafter(2.0**powers, 0)
  np.testing.assert_array_equal(elementary.floor_log2(below), powers - 1)


def test_bits_are_the_same_on_every_machine():
  x = (np.arange(20001) - 10000) / 512
  digest = hashlib.sha256()
  for values in (
    elementary.exp(x),
    elementary.log(np.abs(x) + 1 / 512),
    elementary.softplus(x),
    elementary.tanh(x),
    elementary.sigmoid(x),
    elementary.ndtr(x),
  ):
    digest.update(values.astype("<f8").tobytes())
  assert digest.hexdigest() == DIGEST
