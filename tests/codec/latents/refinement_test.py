"""Latent refinement: files that any decoder reads, and better ones."""

import dataclasses
import functools

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec import rate_control
from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.codec.latents.refinement import (
  _MARGIN,
  Refinement,
  _apply,
  _denoised,
  _Error,
)
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.codec.pixels.transforms import levels
from sclc_jax.codec.tiles import tiles
from sclc_jax.config import Objective
from sclc_jax.metrics import psnr_db
from sclc_jax.models.variable_rate import VariableRate

OBJECTIVE = Objective("mse", 0.0016, 0.2)


@functools.cache
def _shipped(effort: int, model: str | None = None) -> Codec:
  return load_codec(model, effort=effort)


def _with_objective(model):
  return dataclasses.replace(model, objective=OBJECTIVE)


def _cost(model, photo, data, quality) -> float:
  """lmbda * MSE + bpp of a file, read without refinement."""
  error = photo.astype(float) - Codec(model).decompress(data)
  first, last = model.objective.lmbda_first, model.objective.lmbda_last
  lmbda = first * (last / first) ** ((quality - 1) / 7)
  bpp = 8 * len(data) / (photo.shape[0] * photo.shape[1])
  return lmbda * np.mean(error**2) + bpp


@pytest.mark.parametrize(
  ("name", "quality", "gain"),
  [
    ("cpu-medium", 1, 0.003),
    ("cpu-medium", 4.5, 0.01),
    ("cpu-medium", 8, 0.03),
    (None, 1, 0.002),
    (None, 4.5, 0.003),
    (None, 8, 0.03),
  ],
)
def test_refinement_makes_better_files_of_a_photo(name, quality, gain):
  photo = skimage.data.coffee()[100:228, 200:328]
  plain, better = (
    _cost(codec.model, photo, codec.compress(photo, quality), quality)
    for codec in (_shipped(0, name), _shipped(2, name))
  )
  assert better < (1 - gain) * plain


@pytest.mark.parametrize(
  "base",
  ["hyperprior", "mean_scale", "context", "checkerboard", "lowpass"],
)
def test_every_base_gains_and_reads_what_refinement_predicts(
  model_of, base, photo
):
  model = _with_objective(model_of(base))
  codec, plain = Codec(model, effort=3), Codec(model)
  analysis = codec.analyse(photo)
  for quality in (2, 6.5):
    data = codec.encode(analysis, quality)
    np.testing.assert_array_equal(
      plain.symbols(data).y_hat, codec.y_hat(analysis, quality)
    )
    assert _cost(model, photo, data, quality) < _cost(
      model, photo, plain.compress(photo, quality), quality
    )


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 70), (67, 30, 4), (130, 65)])
def test_images_of_any_shape_can_be_refined(tiny_model, shape):
  model = _with_objective(tiny_model)
  image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
  data = Codec(model, effort=1).compress(image, 6)
  out = Codec(model).decompress(data)
  assert out.shape == shape
  if len(shape) == 3 and shape[2] == 4:
    np.testing.assert_array_equal(out[..., 3], image[..., 3])


def test_a_quality_map_says_what_an_error_is_worth_where(tiny_model, photo):
  model = _with_objective(tiny_model)
  codec = Codec(model, effort=3)
  wanted = np.array([[7.0, 2.0]])
  actual, plain = (
    Codec(model).decompress(one.compress(photo, wanted))
    for one in (codec, Codec(model))
  )
  left = slice(0, photo.shape[1] // 2 - 32)  # cells of 64 blur the border
  assert psnr_db(photo[:, left], actual[:, left]) > psnr_db(
    photo[:, left], plain[:, left]
  )
  q = np.array([[0, 448], [64, 224]])
  np.testing.assert_allclose(
    codec._encoder._refinement._lmbdas(q),
    [
      [0.85 * 0.0016, 0.2],
      [
        (0.85 + 0.15 / 7) * 0.0016 * 125 ** (1 / 7),
        0.925 * 0.0016 * 125**0.5,
      ],
    ],
  )


def test_a_gray_photo_gains_by_the_mean_that_a_decoder_shows():
  gray = skimage.data.coffee()[100:228, 200:328, 1]
  plain, better = (
    _cost(_shipped(0).model, gray, _shipped(n).compress(gray, 6), 6)
    for n in (0, 2)
  )
  assert better < 0.99 * plain


def test_refinement_is_repeatable_and_passes_change_it(tiny_model, photo):
  model = _with_objective(tiny_model)
  once = Codec(model, effort=1).compress(photo, 5)
  assert once == Codec(model, effort=1).compress(photo, 5)
  assert once != Codec(model, effort=4).compress(photo, 5)
  assert once != Codec(model).compress(photo, 5)


def test_a_psnr_is_hit_by_the_file_that_refinement_made(tiny_model, photo):
  model = _with_objective(tiny_model)
  codec = Codec(model, effort=1)
  target = psnr_db(photo, codec.decompress(codec.compress(photo, 4)))
  hit = rate_control.compress_to(codec, photo, "psnr", target)
  actual = psnr_db(photo, Codec(model).decompress(hit.data))
  assert actual == pytest.approx(hit.value)
  assert actual == pytest.approx(target, abs=0.2)


def _error(codec, photo, tile=64):
  """(the error of a photo, weights of its positions, a y_hat)."""
  analysis = codec.analyse(photo)
  y_hat = codec.y_hat(analysis, 6)
  apply = functools.partial(_apply, codec.model.config, codec.transforms.params)
  parts = tiles(*y_hat.shape[:2], tile, _MARGIN)
  weights = np.random.default_rng(0).uniform(0.5, 2, y_hat.shape[:2])
  inputs = analysis, 3 * weights, levels(320)
  error = _Error(apply, *inputs, parts, lambda: None)
  return error, np.repeat(np.repeat(weights, 16, 0), 16, 1)[..., None], y_hat


def _pictures(codec, y_hat):
  """[B, H, W, 3] on the 0..255 scale, not rounded."""
  model, params = VariableRate(codec.model.config), codec.transforms.params
  x_hat = model.apply(
    {"params": params}, y_hat, np.float32(5), method="synthesis"
  )
  return (np.asarray(x_hat, np.float64) + 1) * 127.5


def test_the_gradient_is_that_of_the_error_inside_the_picture(codec, photo):
  photo = photo[:80, :90]  # what else the grid has is outside
  error, weights, y_hat = _error(codec, photo)
  slope = error.gradient(y_hat)
  length = 0.01 / np.linalg.norm(slope)
  move = length * slope
  ends = _pictures(codec, np.stack([y_hat + move, y_hat - move]))
  inside = np.clip(ends[:, :80, :90], 0, 255) - photo
  high, low = (weights[:80, :90] * inside**2).sum((1, 2, 3))
  assert high - low == pytest.approx(2 * length * np.sum(slope**2), rel=0.02)
  assert not slope[-1].any() and slope[0].any()


def test_the_total_is_the_weighted_error_inside_the_picture(codec, photo):
  photo = photo[:80, :90]
  error, weights, y_hat = _error(codec, photo)
  inside = np.clip(_pictures(codec, y_hat[None])[0, :80, :90], 0, 255) - photo
  wanted = (weights[:80, :90] * inside**2).sum()
  assert error.total(y_hat) == pytest.approx(wanted, rel=1e-4)


def test_a_search_that_ends_worse_is_thrown_away(monkeypatch):
  photo = skimage.data.coffee()[100:228, 200:328]
  search = Refinement._refine

  def worse(self, *args):
    index, symbols, y_hat = search(self, *args)
    return index, symbols + 1, y_hat + 1

  monkeypatch.setattr(Refinement, "_refine", worse)
  assert _shipped(2).compress(photo, 5) == _shipped(0).compress(photo, 5)


def test_tiles_give_the_gradient_of_the_whole(codec, photo):
  image = np.tile(photo, (3, 3, 1))[:330, :400]
  whole, parts = (_error(codec, image, tile) for tile in (64, 12))
  wanted = whole[0].gradient(whole[2])
  np.testing.assert_allclose(
    parts[0].gradient(whole[2]), wanted, atol=1e-4 * np.abs(wanted).max()
  )
  total = whole[0].total(whole[2])
  assert parts[0].total(whole[2]) == pytest.approx(total, rel=1e-5)
  returned = whole[0].returned(whole[2])
  np.testing.assert_allclose(
    parts[0].returned(whole[2]), returned, atol=1e-3 * np.abs(returned).max()
  )


def test_the_curvature_adds_up_to_that_of_the_synthesis(codec, photo):
  error, weights, y_hat = _error(codec, photo[:64, :64])
  actual = error.curvature(y_hat, 3).ravel()
  chosen = np.random.default_rng(1).permutation(y_hat.size)[:400]
  moved = np.zeros((chosen.size, y_hat.size), np.float32)
  moved[np.arange(chosen.size), chosen] = size = 0.1
  ends = [
    _pictures(codec, y_hat + sign * moved.reshape(-1, *y_hat.shape))
    for sign in (1, -1)
  ]
  moves = (ends[0] - ends[1]) / (2 * size)
  exact = (2 * weights * moves**2).sum((1, 2, 3))
  assert actual[chosen].sum() == pytest.approx(exact.sum(), rel=0.2)
  assert np.corrcoef(actual[chosen], exact)[0, 1] > 0.8


@pytest.mark.parametrize("probes", [8, 32])
def test_curvatures_are_freed_of_most_of_their_noise(probes):
  rng = np.random.default_rng(0)
  factors = [rng.normal(0, 0.15, shape) for shape in ((600, 4), (4, 320))]
  exact = np.exp(rng.normal(size=320) + rng.normal(size=(600, 1)))
  exact *= np.clip(1 + factors[0] @ factors[1] * 4, 0.3, 3)
  raw = exact * rng.chisquare(probes, exact.shape) / probes
  freed = _denoised(np.float32(raw).reshape(20, 30, 320), probes)
  error = np.std(freed.reshape(exact.shape) / exact - 1)
  assert error < 0.35 * np.std(raw / exact - 1)


def test_a_picture_that_no_element_changes_has_no_curvature():
  freed = _denoised(np.zeros((2, 3, 8), np.float32), 8)
  np.testing.assert_allclose(freed, 0, atol=1e-20)


def test_the_command_makes_the_same_file(photo, tmp_path):
  image, coded = tmp_path / "a.png", tmp_path / "a.sclc"
  Image.fromarray(photo).save(image)
  assert not cli.main(["compress", str(image), "--effort", "2"])
  assert coded.read_bytes() == _shipped(2).compress(photo)


@pytest.mark.parametrize(
  ("model", "effort", "text"),
  [
    (None, -1, r"effort must lie in \[0, 64\], got -1"),
    (None, 65, r"effort must lie in \[0, 64\], got 65"),
    ("hyperprior-ms-ssim", 4, "trained for ms_ssim"),
  ],
)
def test_what_cannot_be_refined_is_refused(model, effort, text):
  with pytest.raises(ValueError, match=text):
    Codec(find_model(model), effort=effort)


def test_a_model_that_says_not_what_it_was_trained_for_is_refused(tiny_model):
  with pytest.raises(ValueError, match="sclc export"):
    Codec(tiny_model, effort=1)
