import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sclc_jax.nn.conv import conv_down, conv_up


@pytest.mark.parametrize("op", [conv_down, conv_up])
@pytest.mark.parametrize("size", [(2, 2), (8, 6), (16, 4)])
def test_phase_form_equals_direct_form_with_its_gradients(op, size):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(5, 5, 3, 4)), jnp.float32)

  def loss(x, kernel, form):
    return jnp.sum(jnp.sin(op(x, kernel, form)))

  np.testing.assert_allclose(
    op(x, kernel, "phase"), op(x, kernel, "direct"), atol=1e-4
  )
  for a, b in zip(
    jax.grad(loss, (0, 1))(x, kernel, "phase"),
    jax.grad(loss, (0, 1))(x, kernel, "direct"),
  ):
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_conv_up_is_the_transpose_of_conv_down():
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(1, 8, 8, 3)), jnp.float32)
  y = jnp.asarray(rng.normal(size=(1, 4, 4, 5)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(5, 5, 3, 5)), jnp.float32)
  down = jnp.vdot(conv_down(x, kernel), y)
  up = jnp.vdot(x, conv_up(y, kernel.swapaxes(2, 3)))
  np.testing.assert_allclose(down, up, rtol=1e-4)
