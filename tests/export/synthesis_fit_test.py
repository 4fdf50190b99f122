import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.export.freeze import with_mask_threshold
from sclc_jax.export.synthesis_fit import fit_synthesis

PHOTOS = [
  image[:384, :384]
  for image in (
    skimage.data.astronaut(), skimage.data.chelsea()[:, 50:],
    skimage.data.rocket(), skimage.data.retina()[500:, 500:],
  )
]  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tiny_model):
  return fit_synthesis(tiny_model, PHOTOS)


def _error(codec, photo, level):
  shown = codec.reconstruct(codec.analyse(photo), level)
  return np.mean((shown.astype(float) - photo) ** 2)


def test_another_photo_is_nearer_at_low_and_at_high_levels(fitted, tiny_model):
  photo = skimage.data.coffee()[:256, :320]
  for level in (1, 4, 8):
    ours, plain = (
      _error(Codec(model), photo, level) for model in (fitted[0], tiny_model)
    )
    assert ours < 0.98 * plain


def test_the_gain_is_that_of_the_photos_it_was_fitted_to(fitted, tiny_model):
  """About, as their edges were left out. Each was seen at two levels: 1 and 5,
  2 and 6, and so on.
  """
  ratios = []
  for number, photo in enumerate(PHOTOS):
    for level in (1 + number, 5 + number):
      ours, plain = (
        _error(Codec(model), photo, level) for model in (fitted[0], tiny_model)
      )
      ratios.append(ours / plain)
  assert 1 - np.mean(ratios) == pytest.approx(fitted[1], abs=0.05)


def test_nothing_is_left_to_fit_again(fitted):
  again, gain = fit_synthesis(fitted[0], PHOTOS)
  assert 0 <= gain < 0.1 * fitted[1]
  assert again.config == fitted[0].config


def test_symbols_stay_the_same(fitted, tiny_model, photo):
  ours, plain = (Codec(model) for model in (fitted[0], tiny_model))
  actual, wanted = (c.symbols(c.compress(photo, 5)) for c in (ours, plain))
  np.testing.assert_array_equal(actual.y, wanted.y)


def test_changes_of_a_model_keep_its_synthesis(fitted):
  model = with_mask_threshold(fitted[0], 0.3)
  assert model.config.conditional
  last = model.params["base"]["synthesis"]["conv_0"]
  assert last.keys() == {"kernel", "bias", "kernel_slope", "bias_slope"}


def test_photos_too_small_to_learn_from_are_refused(tiny_model, photo):
  with pytest.raises(ValueError, match="at least 128 pixels a side"):
    fit_synthesis(tiny_model, [photo[:100]])


def test_export_fits_a_model_to_a_folder(tiny_model, fitted, tmp_path, capsys):
  photos, out = tmp_path / "photos", tmp_path / "m.sclcm"
  photos.mkdir()
  plain = tmp_path / "plain.sclcm"
  save_model(tiny_model, plain)
  for number, photo in enumerate(PHOTOS):
    Image.fromarray(photo).save(photos / f"{number}.png")
  args = ["export", "--model", str(plain), "-o", str(out)]
  assert not cli.main([*args, "--fit-synthesis", str(photos)])
  text = capsys.readouterr().out
  assert f"{100 * fitted[1]:.1f} % less squared error" in text
  assert read_model(out).fingerprint == fitted[0].fingerprint
