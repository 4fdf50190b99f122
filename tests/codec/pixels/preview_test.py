"""Previews: sizes, how near they come, and the file that makes them."""

import dataclasses

import jax
import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.codec_model import fingerprint_of, model_tensors
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.codec.model.preview_file import (
  Preview,
  has_preview,
  preview_path,
  read_preview,
)
from sclc_jax.codec.model.shipped import read_facts, shipped_models
from sclc_jax.codec.pixels import preview
from sclc_jax.codec.pixels.preview import SCALES, smaller_alpha
from sclc_jax.export import preview_fit
from sclc_jax.export.preview_fit import fit_preview
from sclc_jax.metrics import psnr_db


@pytest.fixture(scope="module")
def fitted(tiny_model, photo):
  return fit_preview(tiny_model, [photo, photo[:, ::-1]])


@pytest.fixture(scope="module")
def codec(fitted):
  return Codec(fitted)


def _averages(image: np.ndarray, scale: int) -> np.ndarray:
  """Of squares of pixels, edges repeated; by a loop."""
  rows, columns = (-(-side // scale) for side in image.shape[:2])
  pad = [(0, -side % scale) for side in image.shape[:2]]
  image = np.pad(image, [*pad, *[(0, 0)] * (image.ndim - 2)], "edge")
  out = np.empty((rows, columns, *image.shape[2:]))
  for i in range(rows):
    for j in range(columns):
      square = image[i * scale :, j * scale :][:scale, :scale]
      out[i, j] = square.mean((0, 1))
  return out


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
  "shape", [(1, 1, 3), (65, 130), (30, 17, 4), (64, 9, 2), (16, 8, 3)]
)
def test_any_size_gives_one_of_its_fraction_rounded_up(codec, shape, scale):
  rng = np.random.default_rng(0)
  data = codec.compress(rng.integers(0, 256, shape, np.uint8))
  small = codec.preview(data, scale)
  rows, columns = (-(-side // scale) for side in shape[:2])
  assert small.shape == (rows, columns, *shape[2:])
  assert small.dtype == np.uint8


@pytest.mark.parametrize("scale", SCALES)
def test_a_preview_comes_nearer_to_the_picture_than_its_colours_do(
  codec, photo, scale
):
  data = codec.compress(photo, 6)
  target = np.round(_averages(codec.decompress(data), scale)).astype(np.uint8)
  flat = np.broadcast_to(np.round(target.mean((0, 1))), target.shape)
  gain = psnr_db(target, codec.preview(data, scale)) - psnr_db(
    target, flat.astype(np.uint8)
  )
  assert gain > 2


def test_gray_and_alpha_are_averages_too(codec, photo):
  alpha = photo[..., :1]
  data = codec.compress(np.dstack([photo, alpha]), 6)
  small = codec.preview(data, 4)
  expected = np.round(_averages(alpha[..., 0], 4))
  assert np.abs(small[..., 3] - expected).max() <= 1
  gray = codec.compress(photo[..., 1], 6)
  target = np.round(_averages(photo[..., 1], 8)).astype(np.uint8)
  assert psnr_db(target, codec.preview(gray, 8)) > 15


def test_alpha_is_averaged_over_squares():
  rng = np.random.default_rng(0)
  for shape in ((1, 1), (7, 16), (19, 5)):
    alpha = rng.integers(0, 256, shape, np.uint8)
    for scale in SCALES:
      expected = _averages(alpha, scale)
      assert np.abs(smaller_alpha(alpha, scale) - expected).max() <= 0.501


def test_tiles_give_the_whole_preview(codec, monkeypatch):
  rng = np.random.default_rng(0)
  data = codec.compress(rng.integers(0, 256, (640, 400, 3), np.uint8), 8)
  whole = codec.preview(data, 2)
  monkeypatch.setattr(preview, "TILE", 16)
  assert np.abs(codec.preview(data, 2).astype(int) - whole).max() <= 1


def test_the_map_is_kept_beside_the_model_which_stays_as_it_is(
  fitted, tiny_model, photo, tmp_path
):
  plain, path = tmp_path / "plain.sclcm", tmp_path / "m.sclcm"
  save_model(tiny_model, plain)
  save_model(fitted, path)
  assert path.read_bytes() == plain.read_bytes()
  assert preview_path(path).stat().st_size < 200_000
  again = read_model(path)
  assert read_model(plain).preview is None
  assert again.fingerprint == tiny_model.fingerprint == fingerprint_of(
    again.config, model_tensors(again)
  )
  data = Codec(tiny_model).compress(photo)
  near = Codec(again).preview(data).astype(int)
  assert np.abs(near - Codec(fitted).preview(data)).max() <= 2


def test_the_strongest_channels_are_enough(tiny_model, photo, monkeypatch):
  monkeypatch.setattr(preview_fit, "_CHANNELS", 3)
  alive = np.array([1, 4, 6])
  dead = np.setdiff1d(np.arange(tiny_model.config.N), alive)
  params = jax.tree.map(np.copy, tiny_model.params)
  layer = params["base"]["synthesis"]["conv_3"]
  layer["kernel"][..., dead] = layer["bias"][dead] = 0
  model = dataclasses.replace(tiny_model, params=params)
  fitted = fit_preview(model, [photo])
  np.testing.assert_array_equal(fitted.preview.channels, alive)
  assert fitted.preview.map.shape == (9 * 3 + 1, 48)
  monkeypatch.undo()
  data = Codec(model).compress(photo)
  few, all_of_them = (
    Codec(each).preview(data).astype(int)
    for each in (fitted, fit_preview(model, [photo]))
  )
  assert np.abs(few - all_of_them).max() < 3


def test_the_map_of_another_model_does_not_count(fitted, tiny_model, tmp_path):
  path = tmp_path / "m.sclcm"
  save_model(dataclasses.replace(fitted, fingerprint=b"others"), path)
  save_model(tiny_model, path)
  assert preview_path(path).exists() and read_model(path).preview is None


def test_a_damaged_map_is_named_with_its_remedy(fitted, tmp_path):
  path = tmp_path / "m.sclcm"
  save_model(fitted, path)
  whole = preview_path(path).read_bytes()
  files = [b"", b"map", whole[: len(whole) // 2]]
  channels, pixels = fitted.preview.channels, fitted.preview.map
  for other in (
    Preview(channels, pixels[1:]),
    Preview(channels[::-1], pixels),
    Preview(channels + 1, pixels),
    Preview(channels[None], pixels),
    Preview(channels[1:], pixels),
    Preview(channels, np.full_like(pixels, np.nan)),
  ):
    save_model(dataclasses.replace(fitted, preview=other), path)
    files.append(preview_path(path).read_bytes())
  for data in files:
    preview_path(path).write_bytes(data)
    with pytest.raises(ValueError, match=r"m\.preview\.npz is not.*anew with"):
      read_model(path)


def test_a_flipped_bit_gives_a_preview_or_that_sentence(fitted, tmp_path):
  path = tmp_path / "m.sclcm"
  save_model(fitted, path)
  whole = preview_path(path).read_bytes()
  places = np.random.default_rng(0).integers(0, 8 * len(whole), 300)
  last = 8 * (len(whole) - np.arange(1, 120))  # the directory of the archive
  refused = 0
  for place in [*places, *last]:
    data = bytearray(whole)
    data[place // 8] ^= 1 << place % 8
    preview_path(path).write_bytes(data)
    has_preview(path, fitted.fingerprint)
    try:
      read_preview(path, fitted.fingerprint, fitted.config.N)
    except ValueError as error:
      assert "anew with 'sclc export --fit-preview'" in str(error)
      refused += 1
  assert refused > 200


def test_what_gives_no_preview_is_refused(codec, tiny_model, photo):
  data = codec.compress(photo)
  with pytest.raises(ValueError, match="no preview; give it one with 'sclc"):
    Codec(tiny_model).preview(data)
  with pytest.raises(ValueError, match="8, 4 or 2, got 3"):
    codec.preview(data, 3)


def test_no_photographs_fit_nothing(tiny_model):
  with pytest.raises(ValueError, match="there are none"):
    fit_preview(tiny_model, [])


@pytest.mark.parametrize("name", shipped_models())
def test_every_shipped_model_gives_previews(name):
  path = shipped_models()[name]
  facts = read_facts(path)
  assert has_preview(path, bytes.fromhex(facts["fingerprint"]))
  assert preview_path(path).stat().st_size <= 200_000
