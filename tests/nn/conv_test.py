import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from sclc_jax.nn.conv import UP_FORMS, add_bias, conv_down, conv_up
from sclc_jax.nn.target import traced_for

DIMS = ("NHWC", "HWIO", "NHWC")


def plain_down(x, kernel):
  return lax.conv_general_dilated(
    x, kernel, (2, 2), "SAME", dimension_numbers=DIMS
  )


def plain_up(x, kernel):
  return lax.conv_transpose(
    x, kernel[::-1, ::-1], (2, 2), "SAME", dimension_numbers=DIMS
  )


def close(ours, theirs):
  assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
  np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize(
  "ours, plain", [(conv_down, plain_down), (conv_up, plain_up)]
)
@pytest.mark.parametrize("size", [(2, 2), (8, 6), (16, 4)])
@pytest.mark.parametrize(
  "inputs, outputs", [(4, 3), (4, 12), (9, 12), (9, 24)]
)
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_values_and_gradients_are_those_of_lax(
  ours, plain, size, inputs, outputs, platform
):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, *size, inputs)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(5, 5, inputs, outputs)), jnp.float32)
  with traced_for(platform):
    close(ours(x, kernel), plain(x, kernel))
    gradients = [
      jax.grad(lambda x, k, f=f: jnp.sum(jnp.sin(f(x, k))), (0, 1))(x, kernel)
      for f in (ours, plain)
    ]
  for a, b in zip(*gradients):
    close(a, b)


@pytest.mark.parametrize("form", UP_FORMS)
def test_every_form_of_conv_up_is_the_same_function(form):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, 6, 4, 5)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(5, 5, 5, 3)), jnp.float32)
  close(UP_FORMS[form](x, kernel), plain_up(x, kernel))


def test_conv_up_is_the_transpose_of_conv_down():
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(1, 8, 8, 3)), jnp.float32)
  y = jnp.asarray(rng.normal(size=(1, 4, 4, 5)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(5, 5, 3, 5)), jnp.float32)
  down = jnp.vdot(conv_down(x, kernel), y)
  up = jnp.vdot(x, conv_up(y, kernel.swapaxes(2, 3)))
  np.testing.assert_allclose(down, up, rtol=1e-4)


def test_add_bias_has_the_gradient_of_a_sum():
  rng = np.random.default_rng(2)
  x = jnp.asarray(rng.normal(size=(2, 3, 4, 5)), jnp.float32)
  bias = jnp.asarray(rng.normal(size=5), jnp.float32)
  ours = jax.grad(lambda b: jnp.sum(jnp.sin(add_bias(x, b))))(bias)
  close(ours, jax.grad(lambda b: jnp.sum(jnp.sin(x + b)))(bias))
