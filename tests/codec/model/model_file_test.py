import dataclasses

import jax
import numpy as np
import pytest

from sclc_jax import cli
from sclc_jax.codec.model.model_file import (
  find_model,
  read_model,
  save_model,
)
from sclc_jax.codec.model.shipped import shipped_models
from sclc_jax.config import ModelConfig, Objective
from sclc_jax.export.freeze import freeze, with_mask_threshold, with_selector
from sclc_jax.models.variable_rate import init_params


@pytest.fixture(scope="module")
def wide():
  """A model with kernels large enough to be rounded, and its parameters."""
  config = ModelConfig(N=52, M=12, init="wavelet", table_init="geometric")
  params = jax.tree.map(np.array, init_params(config, 0))
  kernel = params["base"]["hyper_synthesis"]["conv_0"]["kernel"]
  kernel[..., 0] = 0
  kernel[..., 1] *= 1e-7
  return freeze(config, params), params


def test_large_kernels_are_whole_steps_of_each_channel(wide):
  model, params = wide
  rounded = 0
  for path, old in jax.tree_util.tree_leaves_with_path(params):
    new = model.params
    for key in path:
      new = new[key.key]
    if old.ndim < 4 or old.size < 2**16:
      np.testing.assert_array_equal(new, old.astype(np.float16))
      continue
    rounded += 1
    for channel in range(old.shape[-1]):
      was, now = old[..., channel], new[..., channel].astype(np.float64)
      step = max(np.sqrt(np.mean(was.astype(np.float64) ** 2)) / 32, 2.0**-24)
      assert np.abs(now - was).max() <= step / 2 + np.abs(was).max() * 2.0**-11
      finest = max(step / 2, 2.0**-24)
      whole = now / 2.0 ** np.ceil(np.log2(finest))
      np.testing.assert_array_equal(whole, np.round(whole))
  assert rounded == 8


def test_it_comes_back_as_it_was_frozen(wide, tmp_path):
  model, _ = wide
  save_model(model, tmp_path / "m.sclcm")
  read = read_model(tmp_path / "m.sclcm")
  assert read.fingerprint == model.fingerprint
  jax.tree.map(np.testing.assert_array_equal, read.params, model.params)


def test_the_objective_is_kept_and_changes_no_fingerprint(wide, tmp_path):
  model, params = wide
  objectives = Objective("mse", 0.001, 0.2)
  ours = freeze(model.config, params, objectives)
  assert ours.fingerprint == model.fingerprint and model.objective is None
  save_model(ours, tmp_path / "m.sclcm")
  assert read_model(tmp_path / "m.sclcm").objective == objectives


def test_a_lower_mask_threshold_selects_more_with_the_same_parameters(wide):
  model, _ = wide
  lower = with_mask_threshold(model, 0.02)
  assert lower.config.mask_threshold == 0.02
  assert lower.fingerprint != model.fingerprint
  jax.tree.map(np.testing.assert_array_equal, lower.params, model.params)
  assert np.all(lower.control.thresholds < model.control.thresholds)
  back = with_mask_threshold(lower, model.config.mask_threshold)
  assert back.fingerprint == model.fingerprint


def test_mask_thresholds_that_cannot_be_are_named(wide):
  model, params = wide
  with pytest.raises(ValueError, match="mask_threshold must be between 0 and"):
    with_mask_threshold(model, 1.5)
  config = dataclasses.replace(model.config, selective=False)
  params = {key: params[key] for key in params if key != "selector"}
  with pytest.raises(ValueError, match="no selector, .* 0.1 would change noth"):
    with_mask_threshold(freeze(config, params), 0.1)


@pytest.fixture(scope="module")
def child():
  """A shipped model, and one with another bias, density and sign of zero."""
  parent = find_model("hyperprior-mse")
  params = jax.tree.map(np.array, parent.params)
  params["base"]["synthesis"]["conv_0"]["bias"] += 0.25
  params["density"]["log_multiples"] += 1
  kernel = params["base"]["hyper_analysis"]["conv_0"]["kernel"]
  kernel[kernel == 0] *= -1
  config, objectives = parent.config, parent.objective
  return parent, freeze(config, params, objectives, rescale=False)


def test_a_parent_saves_what_both_have(child, tmp_path):
  parent, model = child
  save_model(model, tmp_path / "m.sclcm", parent)
  save_model(model, tmp_path / "whole.sclcm")
  sizes = [(tmp_path / n).stat().st_size for n in ("m.sclcm", "whole.sclcm")]
  assert sizes[0] < 750_000 and sizes[1] > 15e6
  read = read_model(tmp_path / "m.sclcm")
  assert read.fingerprint == model.fingerprint != parent.fingerprint
  assert read.objective == model.objective
  jax.tree.map(np.testing.assert_array_equal, read.params, model.params)


def test_a_parent_that_nobody_has_is_refused(child, wide, tmp_path):
  parent, model = child
  with pytest.raises(ValueError, match="is not a shipped model"):
    save_model(model, tmp_path / "m.sclcm", wide[0])
  with pytest.raises(ValueError, match="has control/head/bias, which the mode"):
    save_model(with_selector(model, None), tmp_path / "m.sclcm", parent)
  assert not list(tmp_path.iterdir())
  save_model(model, tmp_path / "m.sclcm", parent)
  data = (tmp_path / "m.sclcm").read_bytes()
  name = parent.fingerprint.hex().encode()
  assert data.count(name) == 1
  with pytest.raises(ValueError, match="is the file of the parent itself"):
    save_model(model, shipped_models()["hyperprior-mse"], parent)
  for other in (b"0" * 12, b"not hex 1234"):
    (tmp_path / "m.sclcm").write_bytes(data.replace(name, other))
    with pytest.raises(ValueError, match="is not among the shipped ones; upd"):
      read_model(tmp_path / "m.sclcm")


def test_a_parent_that_the_user_alone_has_is_refused(
  tiny_model, tmp_path, monkeypatch
):
  save_model(tiny_model, tmp_path / "mine.sclcm")
  monkeypatch.setenv("SCLC_MODELS", str(tmp_path))
  with pytest.raises(ValueError, match="is not a shipped model"):
    save_model(tiny_model, tmp_path / "m.sclcm", tiny_model)


def test_export_writes_what_differs_from_a_parent(wide, tmp_path, capsys):
  out, other = tmp_path / "m.sclcm", tmp_path / "other.sclcm"
  args = ["export", "-o", str(out), "--parent", "hyperprior-mse", "--model"]
  save_model(wide[0], other)
  assert cli.main([*args, str(other)]) == 1
  assert "which the model lacks; take a parent" in capsys.readouterr().err
  assert not cli.main([*args, "hyperprior-mse", "--mask-threshold", "0.4"])
  assert out.stat().st_size < 1e6
  assert read_model(out).config.mask_threshold == 0.4
  out.unlink()
  assert cli.main([*args[:4], str(other), "--model", "hyperprior-mse"]) == 1
  assert "is not a shipped model" in capsys.readouterr().err
  assert not out.exists()
