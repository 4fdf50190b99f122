"""What every base model must do, held against the float model."""

import dataclasses

import jax
import mutate
import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.entropy.tables import INDEX_BOUNDS, gaussian_tables
from sclc_jax.codec.exact import control
from sclc_jax.codec.exact.context import coding_groups
from sclc_jax.codec.latents.quality import to_q
from sclc_jax.codec.model.codec_model import with_fingerprint
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.config import BASES, ModelConfig
from sclc_jax.export.freeze import freeze
from sclc_jax.models.variable_rate import VariableRate, init_params

MEANS = BASES[1:]


@pytest.fixture(scope="module", params=BASES)
def codec(request, model_of) -> Codec:
  return Codec(model_of(request.param))


@pytest.fixture(scope="module", params=MEANS)
def mean_codec(request, model_of) -> Codec:
  return Codec(model_of(request.param))


def _with(codec: Codec, **changes) -> Codec:
  config = dataclasses.replace(codec.model.config, **changes)
  model = dataclasses.replace(codec.model, config=config)
  return Codec(model)


def _float_gaussian(codec: Codec, actual):
  """(mean, scale) of the float model, given what was decoded."""
  model = VariableRate(codec.model.config)

  def gaussian(params, z, y_hat):
    variables = {"params": params}
    side, _ = model.apply(variables, z, method="prior")
    return model.apply(variables, side, y_hat, method="gaussian")

  mean, scale = jax.jit(gaussian)(
    codec.model.params, actual.z[None].astype(np.float32), actual.y_hat[None]
  )
  mean = np.zeros(1) if mean is None else np.asarray(mean[0])
  return mean, np.asarray(scale[0])


@pytest.mark.parametrize("quality", [1, 4.5, 8])
def test_decoder_finds_the_symbols_that_the_encoder_wrote(
  codec, photo, quality
):
  analysis = codec.analyse(photo)
  actual = codec.symbols(codec.encode(analysis, quality))
  np.testing.assert_array_equal(actual.z, analysis.z)
  mask = codec.mask(analysis, quality)
  np.testing.assert_array_equal(actual.mask, mask)
  assert 0 < mask.mean() < 1
  q = to_q(quality, codec.model.top_quality)
  qv, iqv = codec.model.qv[q], codec.model.iqv[q]
  error = (analysis.y / qv - actual.y_hat / iqv)[mask]
  assert np.abs(error).max() < 0.5 + 1e-3


def test_y_hat_is_that_of_the_papers_formula(mean_codec, photo):
  q = to_q(5.25, mean_codec.model.top_quality)
  qv, iqv = mean_codec.model.qv[q], mean_codec.model.iqv[q]
  for unselected in ("mean", "zero"):
    codec = _with(mean_codec, unselected=unselected)
    analysis = codec.analyse(photo)
    actual = codec.symbols(codec.encode(analysis, 5.25))
    mean, _ = _float_gaussian(codec, actual)
    assert np.abs(mean).max() > 0.3
    expected = (np.round((analysis.y - mean) / qv) + mean / qv) * iqv
    filled = mean / qv * iqv if unselected == "mean" else 0.0
    expected = np.where(actual.mask, expected, filled)
    # A rounding that is near a tie may fall to the other side.
    differ = np.abs(actual.y_hat - expected) > 0.02
    assert differ.mean() < 0.01


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_what_is_more_probable_than_the_threshold_is_coded(
  model_of, photo, threshold
):
  golden = model_of("hyperprior")
  config = dataclasses.replace(golden.config, mask_threshold=threshold)
  model = freeze(config, golden.params)
  codec, floats = Codec(model), VariableRate(config)
  analysis = codec.analyse(photo)
  params = {"params": model.params}
  z = analysis.z[None].astype(np.float32)
  importance = floats.apply(params, z, method="prior")[1][0]
  gamma = np.maximum(model.params["selector"]["gamma"], 0)
  for level in (2, 7):
    probable = np.asarray(importance) ** gamma[level - 1] > threshold
    differ = codec.mask(analysis, level) != probable
    assert 0 < probable.mean() < 1 and differ.mean() < 0.01
    # What the decoder stage trains on, too.
    crop = jax.numpy.asarray(photo[None, :128, :128] / 127.5 - 1, "float32")
    trained = VariableRate(config, "coded", "inference")
    keys = jax.random.split(jax.random.key(0), 1)
    _, shared = trained.apply(params, crop, keys, method="shared")
    out = trained.apply(
      params, shared, np.array([level - 1]), keys, 0, method="level"
    )
    wanted = np.asarray(shared.importance) ** gamma[level - 1] > threshold
    assert abs(out.selected[0] - wanted.mean()) < 0.001


def test_table_indexes_are_those_of_the_float_model(codec, photo):
  actual = codec.symbols(codec.compress(photo, 6.5))
  q = to_q(6.5, codec.model.top_quality)
  _, scale = _float_gaussian(codec, actual)
  ratio = scale / codec.model.qv[q]
  h, w, channels = actual.mask.shape
  order = np.arange(h * w)
  if codec.model.context is not None:
    groups = coding_groups(codec.model.context.order, h, w)
    order = np.concatenate(groups)
  chosen = actual.mask.reshape(-1, channels)[order]
  ratio = ratio.reshape(-1, channels)[order][chosen]
  expected = np.searchsorted(INDEX_BOUNDS, ratio)
  differ = actual.index != expected
  assert differ.mean() < 0.02
  assert np.abs(actual.index - expected).max() <= 1
  assert np.unique(expected).size > 10


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 70, 3), (130, 67)])
def test_any_size_comes_back_at_its_size(codec, shape):
  image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
  for quality in (1, 6.5):
    out = codec.decompress(codec.compress(image, quality))
    assert out.shape == shape and out.dtype == np.uint8


def test_q_may_differ_from_position_to_position(codec, photo):
  analysis, coder = codec.analyse(photo), codec._encoder._latents
  h, w = analysis.y.shape[:2]
  path = codec.model.control
  whole = path.mask(analysis.importance, 224, analysis.y.shape)
  wanted = coder.choose(analysis.y, analysis.side, whole, 224)
  same = np.full((h, w), 224)
  actual = coder.choose(analysis.y, analysis.side, whole, same)
  np.testing.assert_array_equal(actual, wanted)
  q = np.random.default_rng(0).integers(0, 449, (h, w))
  mask = path.mask(analysis.importance, q, analysis.y.shape)
  index, symbols = coder.choose(analysis.y, analysis.side, mask, q)
  data = get_engine("portable").encode(gaussian_tables(), symbols, index)
  _, actual, y_hat = coder.decode(data, analysis.side, mask, q)
  np.testing.assert_array_equal(actual, symbols)
  qv, iqv = codec.model.qv[q], codec.model.iqv[q]
  assert np.abs(analysis.y / qv - y_hat / iqv)[mask].max() < 0.5 + 1e-3


def test_engines_make_and_read_the_same_file(codec, photo):
  pytest.importorskip("tensorflow_compression")
  other = Codec(codec.model, "tfc")
  data = codec.compress(photo, 5)
  assert data == other.compress(photo, 5)
  np.testing.assert_array_equal(other.decompress(data), codec.decompress(data))


def test_control_path_is_exact_whatever_the_order_of_sums(codec):
  path = codec.model.control
  rng = np.random.default_rng(1)
  z = rng.integers(-20, 21, (3, 2, codec.model.config.N))
  order = rng.permutation(codec.model.config.N)
  first = dataclasses.replace(
    path.convs[0], weight=path.convs[0].weight[:, :, order]
  )
  permuted = dataclasses.replace(path, convs=(first, *path.convs[1:]))
  for a, b in zip(path.prior(z), permuted.prior(z[..., order])):
    np.testing.assert_array_equal(a, b)


def test_every_partial_sum_of_the_control_path_is_bounded(codec):
  path = codec.model.control
  inputs = [control.Z_MAX] + 2 * [control.ACTIVATION_MAX]
  inputs += (len(path.convs) - 3) * [control.SCALE_MAX]
  inputs.append(control.ACTIVATION_MAX)
  for conv, largest in zip((*path.convs, path.head), inputs, strict=True):
    sums = np.abs(conv.weight.astype(np.int64)).sum((0, 1, 2)) * largest
    assert (sums + np.abs(conv.bias) < 2**53).all()


@pytest.mark.parametrize(
  "name",
  ["control/thresholds", "control/reciprocals", "control/2", "control/head",
   "steps"],
)  # fmt: skip
def test_a_model_of_other_shapes_is_refused(codec, tmp_path, name):
  model, path = codec.model, codec.model.control
  first, second, third, *others = path.convs
  third = dataclasses.replace(third, shift=third.shift[1:])
  control = {
    "control/thresholds": {"thresholds": path.thresholds[:, :-1]},
    "control/reciprocals": {"reciprocals": path.reciprocals[:-1]},
    "control/2": {"convs": (first, second, third, *others)},
    "control/head": {
      "head": dataclasses.replace(path.head, bias=path.head.bias[1:])
    },
    "steps": {},
  }
  changed = dataclasses.replace(
    model,
    control=dataclasses.replace(path, **control[name]),
    qv=model.qv[1:] if name == "steps" else model.qv,
    iqv=model.iqv[1:] if name == "steps" else model.iqv,
  )
  changed = with_fingerprint(changed)
  save_model(changed, tmp_path / "m.sclcm")
  with pytest.raises(ValueError, match=name):
    read_model(tmp_path / "m.sclcm")


def test_model_file_round_trips(codec, photo, tmp_path):
  path = tmp_path / "m.sclcm"
  save_model(codec.model, path)
  model = read_model(path)
  assert model.fingerprint == codec.model.fingerprint
  again = Codec(model)
  assert again.compress(photo, 3) == codec.compress(photo, 3)


def test_damaged_files_end_in_an_error_or_a_picture(mean_codec, photo):
  codec = Codec(mean_codec.model, max_pixels=mutate.MAX_PIXELS)
  files = [codec.compress(x, 3.5) for x in (photo[:64, :64], photo[:70, :33])]
  outcomes, slowest, gained = mutate.run(codec, files, 100)
  assert sum(outcomes.values()) == 100
  assert outcomes["picture"] < 10 and len(outcomes) > 4
  assert slowest < 20 and gained < 1024


@pytest.mark.parametrize("base", MEANS)
def test_models_that_read_magnitudes_too_code_and_are_kept(
  base, photo, tmp_path
):
  config = ModelConfig(base, 4, 6, init="wavelet", hyper_input="both")
  model = freeze(config, init_params(config, 0))
  save_model(model, tmp_path / "m.sclcm")
  kept = read_model(tmp_path / "m.sclcm")
  assert kept.config == config and kept.fingerprint == model.fingerprint
  data = Codec(model).compress(photo, 5)
  np.testing.assert_array_equal(
    Codec(kept).decompress(data), Codec(model).decompress(data)
  )
