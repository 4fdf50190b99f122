import dataclasses

import jax
import numpy as np
import pytest

from sclc_jax.config import ModelConfig
from sclc_jax.evaluation import complexity
from sclc_jax.models.variable_rate import params_shapes


def _parts(model):
  return {part.name: part for part in complexity.parts(model)}


@dataclasses.dataclass
class _Model:
  params: dict


def _shapes(**config):
  """A model of which only the shapes of the parameters are real."""
  drawn = params_shapes(ModelConfig(**config))
  one = np.zeros((), np.float16)
  return _Model(
    jax.tree.map(lambda leaf: np.broadcast_to(one, leaf.shape), drawn)
  )


def test_the_papers_width_has_the_costs_that_are_known_of_it():
  parts = _parts(_shapes(base="hyperprior", N=192, M=320))
  # Four 5x5 layers of stride 2 at 1/4, 1/16, 1/64 and 1/256 of the pixels.
  macs = 25 * (3 * 192 / 4 + 192**2 / 16 + 192**2 / 64 + 192 * 320 / 256)
  for name in ("analysis", "synthesis"):
    assert parts[name].conv_kmac == pytest.approx(macs / 1000)
    assert parts[name].conv_kmac == pytest.approx(82, abs=0.5)
    # 73 GFLOP an image of 768x512, GDN included.
    kmac = parts[name].conv_kmac + parts[name].gdn_kmac
    assert 2 * kmac * 768 * 512 / 1e6 == pytest.approx(73, abs=1)


@pytest.mark.parametrize("base", ["hyperprior", "mean_scale", "context"])
def test_every_parameter_belongs_to_one_part(base):
  model = _shapes(base=base, N=8, M=12)
  parts = complexity.parts(model)
  assert sum(part.parameters for part in parts) == sum(
    leaf.size for leaf in jax.tree.leaves(model.params)
  )
  names = [part.name for part in parts]
  assert ("context model" in names) == (base == "context")
  assert "importance head" in names and "_" not in "".join(names)


def test_hyper_transforms_cost_what_their_layers_say(tiny_model):
  parts = _parts(tiny_model)
  N, M = tiny_model.config.N, tiny_model.config.M
  grids = 1 / 64**2, 1 / 32**2, 1 / 16**2
  down = np.dot((25 * N * N, 25 * N * N, 9 * M * N), grids)
  assert parts["hyper analysis"].conv_kmac == pytest.approx(down / 1000)
  up = np.dot((25 * N * N, 25 * N * N, 9 * N * M), grids)
  assert parts["hyper synthesis"].conv_kmac == pytest.approx(up / 1000)
  head = N * M / 16**2 / 1000
  assert parts["importance head"].conv_kmac == pytest.approx(head)
