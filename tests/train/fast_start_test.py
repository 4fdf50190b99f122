import jax
import numpy as np
import pytest
from runs import batches, final

from sclc_jax.codec.codec import Codec
from sclc_jax.config import ModelConfig, from_dict, stage_model
from sclc_jax.export.freeze import freeze, with_fast_of
from sclc_jax.models.variable_rate import init_params
from sclc_jax.nn.fast_synthesis import WIDTHS
from sclc_jax.runs.experiment import load_checkpoint
from sclc_jax.train.fast_start import strongest_channels
from sclc_jax.train.loop import train

_CONFIG = from_dict(
  {
    "model": {"N": 4, "M": 6, "init": "wavelet", "table_init": "geometric"},
    "stages": {"quantization": {"steps": 1}, "fast": {"steps": 2}},
    "optim": {"lr": 1e-3},
    "train": {"levels_per_image": 2, "log_every": 1},
    "data": {"batch_size": 2, "crop_size": 64},
  }
)


def _trained(N):
  model = ModelConfig(N=N, M=6, init="wavelet", fast=True)
  params = init_params(model, 0)
  return params["fast_synthesis"], params["base"]["synthesis"]


def test_the_first_layers_are_channels_of_the_trained_synthesis():
  fresh, synthesis = _trained(N=WIDTHS[0] + 4)
  synthesis["conv_3"]["kernel"] = (
    synthesis["conv_3"]["kernel"].at[..., :4].set(0)
  )
  started = strongest_channels(fresh, synthesis)
  kernel = np.asarray(synthesis["conv_3"]["kernel"])[
    ..., 4:
  ]  # all but the mute
  np.testing.assert_array_equal(started["conv_0"]["kernel"], kernel)
  gamma = np.asarray(synthesis["igdn_2"]["gamma"])[4:, 4:]
  np.testing.assert_array_equal(started["igdn_0"]["gamma"], gamma)
  for layer in ("conv_2", "conv_3", "igdn_2"):
    assert started[layer] is fresh[layer]


def test_a_narrower_synthesis_starts_some_of_them():
  fresh, synthesis = _trained(N=3)
  started = strongest_channels(fresh, synthesis)
  kernel = np.asarray(started["conv_0"]["kernel"])
  np.testing.assert_array_equal(kernel[..., :3], synthesis["conv_3"]["kernel"])
  np.testing.assert_array_equal(
    kernel[..., 3:], fresh["conv_0"]["kernel"][..., 3:]
  )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("fast")
  assert train(_CONFIG, workdir, batches, quiet=True) == 3
  return workdir


def test_its_stage_changes_the_shallow_synthesis_alone(run, tmp_path):
  train(_CONFIG, tmp_path, batches, stop_at=1, quiet=True)
  _, before, _ = load_checkpoint(tmp_path)
  _, state = final(run, _CONFIG)
  after = dict(state["params"])
  fast = after.pop("fast_synthesis")
  jax.tree.map(np.testing.assert_array_equal, after, before)
  start = strongest_channels(
    init_params(stage_model(_CONFIG, "fast"), 0)["fast_synthesis"],
    before["base"]["synthesis"],
  )
  for path, leaf in jax.tree_util.tree_leaves_with_path(fast):
    old = start
    for key in path:
      old = old[key.key]
    assert (leaf != old).any(), path


def test_a_run_gives_a_model_with_both(run, photo):
  config, params, _ = load_checkpoint(run)
  model = freeze(config, params)
  assert (
    Codec(model, fast=True).decompress(Codec(model).compress(photo)).shape
    == photo.shape
  )
  again = with_fast_of(model, params)
  jax.tree.map(np.testing.assert_array_equal, again.fast, model.fast)


def test_a_decoder_of_other_latents_is_refused(run):
  config, params, _ = load_checkpoint(run)
  other = freeze(config, init_params(config, 1))
  with pytest.raises(ValueError, match="analysis is not that of model"):
    with_fast_of(other, params)
  without = {k: v for k, v in params.items() if k != "fast_synthesis"}
  with pytest.raises(ValueError, match="no fast decoder; train"):
    with_fast_of(other, without)
