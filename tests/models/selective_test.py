import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.models.selective import draw_mask, select


def test_training_mask_is_drawn_with_probability_importance_to_the_gamma():
  importance, gamma = jnp.array([0.0, 0.2, 0.7, 1.0]), jnp.float32(1.7)
  noise = jax.random.uniform(jax.random.key(0), (20_000, 4))
  mean = draw_mask(jnp.tile(importance, (20_000, 1)), gamma, noise).mean(0)
  np.testing.assert_allclose(mean, importance**gamma, atol=0.015)


def test_mask_gradient_is_that_of_the_probability():
  grad = jax.grad(lambda im: draw_mask(im, 2.0, jnp.float32(0.99)))
  np.testing.assert_allclose(grad(jnp.float32(0.3)), 0.6, rtol=1e-4)


def test_selection_is_a_threshold_and_shrinks_as_gamma_grows():
  importance = jnp.linspace(0, 1, 101)
  counts = []
  for gamma in (0.3, 1.0, 2.5):
    mask = select(importance, gamma)
    expected = np.asarray(importance) > 0.5 ** (1 / gamma)
    assert (np.asarray(mask) != expected).sum() <= 1  # a tie may differ
    counts.append(int(mask.sum()))
  assert counts == sorted(counts, reverse=True)
  assert bool(select(importance, 0.0).all())
