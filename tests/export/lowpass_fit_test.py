import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.exact import lowpass
from sclc_jax.codec.exact.control import Q_PER_LEVEL
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.export.freeze import with_mask_threshold
from sclc_jax.export.lowpass_fit import (
  _first_means,
  _means,
  _scale_weights,
  fit_lowpass,
)


@pytest.fixture(scope="module")
def fitted(tiny_model):
  return fit_lowpass(tiny_model, [skimage.data.astronaut()])


def test_files_of_another_photo_are_smaller_and_as_good(fitted, tiny_model):
  model, saved = fitted
  assert saved > 0 and 0 in model.lowpass.channels  # the wavelet start's luma
  photo = skimage.data.coffee()[:384, :576]
  ours, plain = Codec(model), Codec(tiny_model)
  analysis = plain.analyse(photo)
  for level in (1, 4, 8):
    sizes = [
      codec.info(codec.encode(analysis, level))["y_bytes"]
      for codec in (ours, plain)
    ]
    assert sizes[0] < 0.985 * sizes[1]
    q = Q_PER_LEVEL * (level - 1)
    errors = [
      np.mean((codec.y_hat(analysis, level) / model.iqv[q] * model.qv[q]
               - analysis.y) ** 2)
      for codec in (ours, plain)
    ]  # fmt: skip
    assert errors[0] < 1.02 * errors[1]


def test_changes_of_a_model_keep_its_prediction(fitted):
  model = with_mask_threshold(fitted[0], 0.3)
  assert model.lowpass is fitted[0].lowpass


def test_a_plane_is_predicted_exactly():
  rows, columns = np.mgrid[:20, :24]
  fields = [
    (a * rows + b * columns + 50.0, np.full(rows.shape, 3.0))
    for a, b in ((1, 2), (-2, 1), (0.5, -1), (3, 3))
  ]
  weights = _first_means(fields, 1.0, 1.1)
  inside = np.flatnonzero((rows > 1) & (columns > 1) & (columns < 23))
  for y, _ in fields:
    known = 1.1 * y.ravel()[lowpass.neighbours(*y.shape)]
    mean = weights @ lowpass.mean_inputs(known)
    assert np.abs(mean - y.ravel())[inside].max() < 0.3


def test_means_ignore_outliers_in_the_end():
  rng = np.random.default_rng(0)
  inputs = rng.normal(size=(5000, lowpass.MEAN_INPUTS))
  wanted = rng.normal(size=lowpass.MEAN_INPUTS)
  y = inputs @ wanted + rng.laplace(0, 0.1, 5000)
  y[::10] += 50 * inputs[::10, 0]
  means = np.zeros(lowpass.MEAN_INPUTS)
  for _ in range(30):
    means = _means(y - inputs @ means, inputs, np.ones(5000), means)
  assert np.abs(means - wanted).max() < 0.02


def test_scales_are_those_that_errors_were_drawn_with():
  rng = np.random.default_rng(0)
  inputs = rng.gamma(2, 1, (40_000, lowpass.SCALE_INPUTS))
  wanted = np.array([0.5, 0.2, 0.1, 0.3, 0.1, 0.4, 0.05, 0.2, 0.7])
  weights = _scale_weights(rng.laplace(0, inputs @ wanted), inputs)
  assert np.abs(weights - wanted).max() < 0.05


def test_a_base_that_has_means_is_refused(model_of, photo):
  with pytest.raises(ValueError, match="'mean_scale'.*'hyperprior'"):
    fit_lowpass(model_of("mean_scale"), [photo])


def test_a_photo_of_noise_has_nothing_to_predict(tiny_model):
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 2, (128, 128, 1), np.uint8).repeat(3, 2) * 255
  with pytest.raises(ValueError, match="resembles its neighbours"):
    fit_lowpass(tiny_model, [noise])


def test_export_fits_a_model_to_a_folder(tiny_model, fitted, tmp_path, capsys):
  photos, out = tmp_path / "photos", tmp_path / "m.sclcm"
  photos.mkdir()
  plain = tmp_path / "plain.sclcm"
  save_model(tiny_model, plain)
  args = ["export", "--model", str(plain), "-o", str(out)]
  args += ["--fit-lowpass", str(photos)]
  assert cli.main(args) == 1 and not out.exists()
  assert "has no image" in capsys.readouterr().err
  Image.fromarray(skimage.data.astronaut()).save(photos / "a.png")
  assert not cli.main(args)
  assert "bits less for each 16x16 pixels" in capsys.readouterr().out
  assert read_model(out).fingerprint == fitted[0].fingerprint
