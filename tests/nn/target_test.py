"""One process traces the same layers for several platforms."""

import jax
import jax.numpy as jnp
import pytest

from sclc_jax.nn.conv import conv_down, conv_up
from sclc_jax.nn.target import platform, traced_for

X = jnp.zeros((2, 8, 8, 24))
KERNEL = jnp.zeros((5, 5, 24, 24))


def _convolutions(conv) -> int:
  gradient = jax.grad(lambda x, k: jnp.sum(conv(x, k) ** 2), (0, 1))
  return jax.jit(gradient).lower(X, KERNEL).as_text().count("convolution(")


@pytest.mark.parametrize("conv", [conv_down, conv_up])
def test_accelerators_get_one_convolution_each_way(conv):
  def count(name):
    with traced_for(name):
      return _convolutions(conv)

  assert [count(name) for name in ("tpu", "cpu", "gpu")] == [3, 9, 3]
  assert count("tpu") == 3  # whatever was traced before


def test_the_default_is_the_platform_of_this_process():
  assert platform() == jax.default_backend()
  with traced_for("tpu"), traced_for("gpu"):
    assert platform() == "gpu"
  assert platform() == jax.default_backend()
