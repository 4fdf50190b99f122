"""Pictures from the shallow synthesis: the same files, the same shapes."""

import dataclasses

import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.pixels.transforms import Transforms, levels
from sclc_jax.models.variable_rate import VariableRate, init_params


@pytest.fixture(scope="module")
def fast(tiny_model):
  """A shallow synthesis that depends much on the quality."""
  config = dataclasses.replace(tiny_model.config, fast=True)
  params = init_params(config, 0)["fast_synthesis"]
  rng = np.random.default_rng(0)
  for layer in ("conv_1", "conv_2", "conv_3"):
    kernel = params[layer]["kernel"]
    params[layer]["kernel_slope"] = 0.5 * rng.permuted(kernel).astype("f4")
  # So small that what sums leave to chance does not grow from layer to layer.
  params["conv_0"]["kernel"] *= 1e-3
  return Codec(dataclasses.replace(tiny_model, fast=params), fast=True)


def _inputs(photo):
  alpha = np.indices(photo.shape[:2]).sum(0).astype(np.uint8)
  return {
    "rgb": photo[:70, :50],
    "gray": photo[:33, :65, 0],
    "alpha": np.dstack([photo, alpha])[:40, :90],
    "gray with alpha": np.dstack([photo[..., 0], alpha])[:64, :64],
  }


@pytest.mark.parametrize("kind", _inputs(np.zeros((128, 128, 3), np.uint8)))
def test_files_are_those_of_the_full_codec_and_shapes_are_kept(
  codec, fast, photo, kind
):
  image = _inputs(photo)[kind]
  data = fast.compress(image, 5)
  assert data == codec.compress(image, 5)
  picture = fast.decompress(data)
  assert (picture.shape, picture.dtype) == (image.shape, np.uint8)
  if "alpha" in kind:
    visible = image[..., -1]
    np.testing.assert_array_equal(picture[..., -1], visible)


def test_pictures_are_those_of_the_shallow_synthesis(codec, fast, photo):
  data = codec.compress(photo, np.array([[1.0, 8.0]]))  # a quality map
  symbols = codec.symbols(data)
  np.testing.assert_array_equal(fast.symbols(data).y_hat, symbols.y_hat)
  config = dataclasses.replace(fast.model.config, fast=True)
  params = {**fast.model.params, "fast_synthesis": fast.model.fast}
  x = VariableRate(config).apply(
    {"params": params},
    symbols.y_hat[None],
    levels(symbols.q)[None],
    method="fast",
  )
  expected = np.clip((np.asarray(x[0]) + 1) * 127.5, 0, 255)
  got = fast.decompress(data)
  size = (*got.shape[:2], 0)
  other = fast.transforms.synthesis(symbols.y_hat, 0, *size)
  assert np.abs(other.astype(int) - got).max() > 2
  expected = expected[: got.shape[0], : got.shape[1]]
  assert np.abs(got - expected).max() < 0.51
  assert (got != codec.decompress(data)).any()


@pytest.mark.parametrize("quality", [3, np.array([[1.0, 8.0], [5, 3]])])
def test_tiles_and_regions_are_parts_of_the_whole_picture(fast, photo, quality):
  image = np.tile(photo, (5, 3, 1))[:600, :400]
  data = fast.compress(image, quality)
  symbols = fast.symbols(data)
  model = fast.model
  small = Transforms(model.config, model.params, tile=12, fast=model.fast)
  tiled = small.synthesis(symbols.y_hat, symbols.q, *image.shape[:2], 0)
  whole = fast.decompress(data)
  assert np.abs(tiled.astype(int) - whole).max() <= 1
  region = fast.decompress(data, (90, 200, 50, 60))
  np.testing.assert_array_equal(region, whole[200:260, 90:140])


def test_many_files_give_what_each_gives(fast, photo, monkeypatch):
  files = [fast.compress(photo[:n, :n], 2) for n in (64, 100)]
  for data, picture in zip(files, fast.decompress_many(files)):
    np.testing.assert_array_equal(picture, fast.decompress(data))
  files = [fast.compress(photo, q) for q in (2, np.array([[1.0, 8.0]]))]
  monkeypatch.setattr(Transforms, "stack_size", lambda *_: 2)
  for data, picture in zip(files, fast.decompress_many(files)):
    assert np.abs(picture - fast.decompress(data).astype(int)).max() <= 1
