import copy

import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.exact.control import SCALE_BITS
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.export.freeze import freeze, with_selector
from sclc_jax.export.selector_fit import IMPROBABLE, fit_selector


@pytest.fixture(scope="module")
def photos(photo):
  """Enough blocks for the eight inputs of the small model."""
  return [photo, photo[::-1], photo[:, ::-1]]


# A normal value is at least half a step with a probability of 1e-4.
_NARROW = 0.1285


@pytest.fixture(scope="module")
def linear_model(tiny_model, photo):
  """Scales are a function of what the selector reads, some of them narrow."""
  params = copy.deepcopy(tiny_model.params)
  layer = params["base"]["hyper_synthesis"]["conv_2"]
  around = np.ones((3, 3, 1, 1), bool)
  around[1, 1] = False
  layer["kernel"] = np.where(around, 0, np.abs(layer["kernel"]))
  layer["bias"] = np.abs(layer["bias"])
  model = freeze(tiny_model.config, params)
  usual = np.median(_scale(Codec(model).analyse(photo)), (0, 1))
  factor = _NARROW * model.qv[64 * 3] / usual
  layer["kernel"], layer["bias"] = (
    layer["kernel"] * factor,
    layer["bias"] * factor,
  )
  return freeze(tiny_model.config, params)


def _scale(analysis):
  return analysis.side * 2.0**-SCALE_BITS


def test_what_is_left_out_is_narrow_at_every_quality(linear_model, photos):
  fitted = Codec(fit_selector(linear_model, photos))
  for image in photos[:2]:
    analysis = fitted.analyse(image)
    scale = _scale(analysis)
    for level in (3, 4, 5):
      q = 64 * (level - 1)
      control = fitted.model.control
      mask = control.mask(analysis.importance, q, scale.shape)
      wide = scale > _NARROW * fitted.model.qv[q]
      assert np.mean(mask == wide) > 0.98
      assert level != 4 or 0.2 < np.mean(wide) < 0.8


def test_all_but_the_selector_stays(tiny_model, photos):
  fitted = fit_selector(tiny_model, photos)
  assert fitted.config.selective and fitted.config.mask_threshold == 0.5
  assert fitted.fingerprint != tiny_model.fingerprint
  analyses = [Codec(m).analyse(photos[0]) for m in (tiny_model, fitted)]
  for key in ("y", "z", "side"):
    np.testing.assert_array_equal(*(getattr(a, key) for a in analyses))
  np.testing.assert_array_equal(fitted.qv, tiny_model.qv)
  np.testing.assert_array_equal(fitted.iqv, tiny_model.iqv)


def test_curves_of_other_kinds_are_replaced(tiny_model, photos):
  selector = dict(tiny_model.params["selector"])
  selector["gamma"] = np.ones((8, 1), np.float32)
  shared = with_selector(tiny_model, selector, curves="shared")
  fitted = fit_selector(shared, photos)
  assert fitted.fingerprint == fit_selector(tiny_model, photos).fingerprint


def test_files_come_back_and_more_is_coded_at_higher_quality(
  tiny_model, photos
):
  codec = Codec(fit_selector(tiny_model, photos))
  analysis, selected = codec.analyse(photos[0]), []
  for quality in (1, 2.5, 4, 8):
    data = codec.encode(analysis, quality)
    actual = codec.symbols(data)
    np.testing.assert_array_equal(actual.y_hat, codec.y_hat(analysis, quality))
    selected.append(actual.mask.mean())
  assert selected == sorted(selected)


def test_models_that_cannot_have_one_are_refused(tiny_model, model_of, photos):
  with pytest.raises(ValueError, match="train its selective stage"):
    fit_selector(model_of("context"), photos)
  with pytest.raises(ValueError, match="0 blocks of 16x16 .* 8 inputs"):
    fit_selector(tiny_model, [])


def test_export_gives_a_model_a_selector(tiny_model, photos, tmp_path, capsys):
  folder, out = tmp_path / "photos", tmp_path / "m.sclcm"
  folder.mkdir()
  plain = tmp_path / "plain.sclcm"
  save_model(tiny_model, plain)
  args = ["export", "--model", str(plain), "-o", str(out)]
  args += ["--fit-selector", str(folder)]
  assert cli.main(args) == 1 and not out.exists()
  assert "--fit-selector" in capsys.readouterr().err
  for i, image in enumerate(photos):
    Image.fromarray(image).save(folder / f"{i}.png")
  for options, improbable in (
    ([], IMPROBABLE),
    (["--improbable", "0.1"], 0.1),
  ):
    assert not cli.main(args + options)
    fitted = fit_selector(tiny_model, photos, improbable)
    assert read_model(out).fingerprint == fitted.fingerprint
  assert cli.main([*args[:-2], "--improbable", "0.1"]) == 1
  assert "--improbable 0.1" in capsys.readouterr().err
