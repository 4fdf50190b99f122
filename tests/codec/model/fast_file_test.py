import dataclasses

import jax
import numpy as np
import pytest

from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.codec.model.codec_model import with_fingerprint
from sclc_jax.codec.model.fast_file import save_fast
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.codec.model.shipped import fast_path, read_facts
from sclc_jax.export.freeze import freeze
from sclc_jax.models.variable_rate import init_params


@pytest.fixture(scope="module")
def model(tiny_model):
  config = dataclasses.replace(tiny_model.config, fast=True)
  fast = init_params(config, 0)["fast_synthesis"]
  return freeze(config, {**tiny_model.params, "fast_synthesis": fast})


@pytest.fixture
def path(model, tmp_path):
  path = tmp_path / "m.sclcm"
  save_model(model, path)
  save_fast(model, fast_path(path))
  return path


def test_it_comes_back_and_only_when_asked_for(model, path):
  assert read_model(path).fast is None
  read = read_model(path, fast=True)
  jax.tree.map(np.testing.assert_array_equal, read.fast, model.fast)
  assert "fast decoder" in read_facts(path)["parts"]
  fast_path(path).unlink()
  assert read_model(path).fingerprint == model.fingerprint
  assert "fast decoder" not in read_facts(path)["parts"]


def test_no_fingerprint_and_no_model_file_depends_on_it(model, path, tmp_path):
  without = dataclasses.replace(model, fast=None)
  assert not model.config.fast
  assert with_fingerprint(model).fingerprint == model.fingerprint
  save_model(without, tmp_path / "without.sclcm")
  assert (tmp_path / "without.sclcm").read_bytes() == path.read_bytes()


def test_a_model_that_has_none_is_refused_with_the_remedy(model, path):
  fast_path(path).unlink()
  with pytest.raises(ValueError, match="no fast decoder.*Leave --fast out"):
    load_codec(str(path), fast=True)
  with pytest.raises(ValueError, match="read it with fast=True"):
    Codec(dataclasses.replace(model, fast=None), fast=True)


def test_that_of_another_model_is_refused(model, path):
  other = dataclasses.replace(model, fingerprint=b"another model")
  save_fast(other, fast_path(path))
  with pytest.raises(ValueError, match="goes with model"):
    read_model(path, fast=True)


def test_one_of_other_shapes_is_damaged(model, path):
  fast = {k: v for k, v in model.fast.items() if k != "conv_3"}
  save_fast(dataclasses.replace(model, fast=fast), fast_path(path))
  with pytest.raises(ValueError, match="fast.sclcm is not a whole"):
    read_model(path, fast=True)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_cut_file_is_refused(path, keep):
  part = fast_path(path)
  part.write_bytes(part.read_bytes()[:keep])
  with pytest.raises(ValueError, match="fast.sclcm is not a whole"):
    read_model(path, fast=True)
