"""Models whose last layer of the synthesis follows the quality."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.codec.model.tensor_file import read_about
from sclc_jax.codec.pixels.transforms import Transforms
from sclc_jax.config import Objective
from sclc_jax.evaluation.complexity import parts
from sclc_jax.models.variable_rate import VariableRate, init_params
from sclc_jax.nn.transforms import Synthesis

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def model():
  """The tiny model, with a last layer that depends much on the quality."""
  model = read_model(GOLDEN / "v1" / "conditional" / "model.sclcm")
  return dataclasses.replace(model, objective=Objective("mse", 0.0016, 0.2))


@pytest.fixture(scope="module")
def ours(model):
  return Codec(model)


@pytest.mark.parametrize("quality", [1, 4.5, 8])
def test_a_picture_is_that_of_the_kernel_of_its_quality(
  ours, codec, photo, quality
):
  """As a plain model would show it that has kernel + t * slope."""
  data = ours.compress(photo, quality)
  t = 2 * (quality - 1) / 7 - 1
  last = ours.model.params["base"]["synthesis"]["conv_0"]
  base = dict(codec.model.params["base"])
  base["synthesis"] = {
    **base["synthesis"],
    "conv_0": {k: last[k] + t * last[f"{k}_slope"] for k in ("kernel", "bias")},
  }
  params = {**codec.model.params, "base": base}
  plain = Transforms(codec.model.config, params)
  symbols = ours.symbols(data)
  wanted = plain.synthesis(symbols.y_hat, symbols.q, *photo.shape[:2], 0)
  actual = ours.decompress(data)
  assert np.abs(actual.astype(int) - wanted).max() <= 1
  if quality != 4.5:  # the middle, where t is 0
    assert (actual != codec.reconstruct(codec.analyse(photo), quality)).any()


def test_symbols_are_those_of_the_plain_model(ours, codec, photo):
  actual, plain = (
    each.symbols(each.compress(photo, 3)) for each in (ours, codec)
  )
  np.testing.assert_array_equal(actual.y, plain.y)
  np.testing.assert_array_equal(actual.y_hat, plain.y_hat)


def test_each_position_has_the_kernel_of_its_own_quality(ours, photo):
  """Inside each half the picture is as if the other had its quality too."""
  image = np.tile(photo, (1, 3, 1))[:, :384]
  data = ours.compress(image, np.array([[1.0, 8.0]]))
  symbols = ours.symbols(data)
  assert np.unique(symbols.q).tolist() == [0, 448]
  size = (*image.shape[:2], 0)
  ends = [
    ours.transforms.synthesis(symbols.y_hat, q, *size).astype(int)
    for q in (0, 448)
  ]
  whole = ours.decompress(data)
  border = 16 * int(np.flatnonzero(symbols.q[0] == 448)[0])
  assert np.abs(whole[:, :border] - ends[0][:, :border]).max() <= 1
  assert np.abs(whole[:, border:] - ends[1][:, border:]).max() <= 1
  assert np.abs(ends[1] - ends[0]).max() > 5


@pytest.mark.parametrize("quality", [2, np.array([[1.0, 8.0], [5, 3]])])
def test_tiles_regions_and_stacks_give_the_whole_picture(
  ours, model, photo, monkeypatch, quality
):
  image = np.tile(photo, (3, 2, 1))[:330, :300]
  data = ours.compress(image, quality)
  whole = ours.decompress(data)
  symbols = ours.symbols(data)
  small = Transforms(model.config, model.params, tile=8)
  tiled = small.synthesis(symbols.y_hat, symbols.q, *image.shape[:2], 0)
  assert np.abs(tiled.astype(int) - whole).max() <= 1
  region = ours.decompress(data, (90, 150, 70, 80))
  np.testing.assert_array_equal(region, whole[150:230, 90:160])
  monkeypatch.setattr(Transforms, "stack_size", lambda *_: 2)
  files = [data, ours.compress(image, 7)]
  for many, file in zip(ours.decompress_many(files), files):
    assert np.abs(many - ours.decompress(file).astype(int)).max() <= 1


def test_a_search_looks_at_the_picture_that_the_decoder_shows(model, photo):
  refined, plain = Codec(model, effort=2), Codec(model)

  def cost(data):
    lmbda = 0.0016 * 125 ** (1 / 7)
    error = photo.astype(float) - plain.decompress(data)
    return lmbda * np.sum(error**2) / 3 + 8 * len(data)

  assert cost(refined.compress(photo, 2)) < cost(plain.compress(photo, 2))


def test_the_model_file_comes_back_and_has_version_6(
  model, tiny_model, tmp_path
):
  path = tmp_path / "m.sclcm"
  save_model(model, path)
  again = read_model(path)
  assert again.fingerprint == model.fingerprint != tiny_model.fingerprint
  assert again.config.conditional
  last = again.params["base"]["synthesis"]["conv_0"]
  np.testing.assert_array_equal(
    last["kernel_slope"],
    model.params["base"]["synthesis"]["conv_0"]["kernel_slope"],
  )
  assert read_about(path)["version"] == 6
  assert "conditional synthesis" in str(again.parts)


def test_the_work_of_both_kernels_is_counted(model, tiny_model):
  ours, plain = (
    next(part for part in parts(each) if part.name == "synthesis")
    for each in (model, tiny_model)
  )
  N = model.config.N
  assert ours.parameters - plain.parameters == 25 * N * 3 + 3
  assert ours.conv_kmac - plain.conv_kmac == pytest.approx(25 * N * 3 / 4000)


def test_training_moves_the_slopes_from_zero(tiny_model):
  config = dataclasses.replace(tiny_model.config, conditional=True)
  params = init_params(config, 0)
  last = params["base"]["synthesis"]["conv_0"]
  assert not np.any(last["kernel_slope"]) and not np.any(last["bias_slope"])
  x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)))
  keys = jax.random.split(jax.random.key(0), 2)

  def loss(params, levels):
    out = VariableRate(config).apply({"params": params}, x, levels, keys)
    return jnp.mean((out[0] - x) ** 2)

  for level, sign in ((0, -1), (7, 1)):
    slopes = jax.grad(loss)(params, jnp.full(2, level))
    slopes = slopes["base"]["synthesis"]["conv_0"]
    assert np.any(slopes["kernel_slope"])
    np.testing.assert_allclose(
      slopes["bias_slope"], sign * slopes["bias"], rtol=1e-4
    )


def test_a_plain_layer_starts_a_conditional_one():
  y = np.random.default_rng(0).normal(size=(1, 4, 4, 12)).astype(np.float32)
  t = np.full((1, 4, 4), 0.7, np.float32)
  params = Synthesis(8, 12, conditional=True).init(jax.random.key(0), y, t)
  last = dict(params["params"]["conv_0"])
  plain = {k: last[k] for k in ("kernel", "bias")}
  shown = Synthesis(8, 12, conditional=True).apply(params, y, t)
  kept = {"params": {**params["params"], "conv_0": plain}}
  np.testing.assert_allclose(
    shown, Synthesis(8, 12).apply(kept, y, t), atol=1e-6
  )
