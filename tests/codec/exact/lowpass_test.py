import dataclasses
import pathlib
import sys

import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.exact import lowpass
from sclc_jax.codec.latents.latent_coder import coded_elements
from sclc_jax.codec.model.codec_model import with_fingerprint
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.codec.model.tensor_file import read_about

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import independent_decoder  # noqa: E402

SHAPES = [(4, 4), (4, 8), (12, 4), (8, 20)]


def _part(rng, channels, largest=False) -> lowpass.LowPass:
  top = lowpass.WEIGHT_MAX if largest else 2**12
  K = len(channels)
  mean = rng.integers(-top, top + 1, (K, lowpass.MEAN_INPUTS), np.int32)
  scale = rng.integers(0, top + 1, (K, lowpass.SCALE_INPUTS), np.int32)
  if largest:
    mean[0], scale[0] = top * np.sign(mean[0]), top
  return lowpass.LowPass(np.array(channels, np.int32), mean, scale)


@pytest.fixture(scope="module")
def predicted(tiny_model):
  part = _part(np.random.default_rng(1), [0, 3, tiny_model.config.M - 1])
  return with_fingerprint(dataclasses.replace(tiny_model, lowpass=part))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_neighbour_of_a_position_lies_in_an_earlier_group(shape):
  groups = lowpass.wavefronts(*shape)
  positions = np.concatenate(groups)
  assert sorted(positions) == list(range(shape[0] * shape[1]))
  when = np.empty(positions.size, int)
  for i, group in enumerate(groups):
    assert (np.diff(group) > 0).all()  # raster order inside
    when[group] = i
  earlier = when[lowpass.neighbours(*shape)] < when
  assert earlier[:, 1:].all() and groups[0].tolist() == [0]


def test_a_32_by_48_latent_has_110_wavefronts():
  assert len(lowpass.wavefronts(32, 48)) == 110


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_means_and_scales_are_those_of_unbounded_integers(shape, largest):
  """Values at every clip: the page's decoder adds Python's integers."""
  (h, w), rng = shape, np.random.default_rng(len(shape) + largest)
  part = _part(rng, [0, 2], largest)
  reciprocals = rng.integers(1, 2**26, (3, 2)).astype(np.int32)
  iqv = rng.gamma(1, 4, (3, 2)).astype(np.float32)
  state = lowpass.LowPassState(part, reciprocals, iqv, h, w)
  side = rng.integers(0, 2**26, (h * w, 3)).astype(np.int32)
  model = {f"lowpass/{k}": v for k, v in dataclasses.asdict(part).items()}
  known, error = np.zeros((2, h + 4, w + 4, 3), np.int64)
  for group in lowpass.wavefronts(h, w):
    ours = state.gaussian(side[group][:, [0, 2]], group)
    for position, row in zip(group, ours):
      i, j = divmod(int(position), w)
      theirs = independent_decoder._lowpass(
        known, error, side[position], i, j, model
      )
      np.testing.assert_array_equal(row, theirs[[0, 2, 3, 5]])
    q = rng.integers(0, 3, group.size)
    normal = np.round(rng.standard_cauchy((group.size, 2)) * 2**14)
    normal = np.clip(normal, -(2**37), 2**37).astype(np.int64)
    normal[0, 1] = -(2**37)
    offset = (ours[:, :2] * reciprocals[q].astype(np.int64)) >> 16
    for values, kept in ((normal, known), (np.abs(normal - offset), error)):
      for position, value, step in zip(group, values, q):
        i, j = divmod(int(position), w)
        kept[i + 2, j + 2, [0, 2]] = independent_decoder._known(
          value, iqv[step]
        )
    state.add(group, normal, q)
  assert np.abs(known).max() == 2**15 - 1


@pytest.mark.parametrize("quality", [1, 4.5, np.array([[1, 8.0], [3, 5]])])
def test_a_decoder_finds_what_the_encoder_wrote(predicted, photo, quality):
  codec = Codec(predicted)
  analysis = codec.analyse(photo)
  actual = codec.symbols(codec.encode(analysis, quality))
  np.testing.assert_array_equal(actual.mask, codec.mask(analysis, quality))
  np.testing.assert_array_equal(actual.y_hat, codec.y_hat(analysis, quality))
  qv, iqv = predicted.qv[actual.q], predicted.iqv[actual.q]
  error = (analysis.y / qv - actual.y_hat / iqv)[actual.mask]
  assert 0.3 < np.abs(error).max() < 0.5 + 1e-3


def test_low_pass_channels_come_first_and_nothing_is_coded_twice(
  predicted, photo
):
  codec = Codec(predicted)
  mask = codec.mask(codec.analyse(photo), 3)
  order = coded_elements(predicted, mask)
  assert sorted(order) == np.flatnonzero(mask).tolist()
  low = np.isin(order % mask.shape[2], predicted.lowpass.channels)
  count = mask[..., predicted.lowpass.channels].sum()
  assert low[:count].all() and not low[count:].any()


def test_what_is_not_selected_keeps_its_mean(predicted, photo):
  channels = predicted.lowpass.channels
  thresholds = predicted.control.thresholds.copy()
  thresholds[:, channels] = 2**20  # selects none of them
  control = dataclasses.replace(predicted.control, thresholds=thresholds)
  part = dataclasses.replace(
    predicted.lowpass, mean=np.full((3, 7), 2**12, np.int32)
  )
  for unselected in ("mean", "zero"):
    config = dataclasses.replace(predicted.config, unselected=unselected)
    model = dataclasses.replace(
      predicted, control=control, config=config, lowpass=part
    )
    codec = Codec(model)
    y_hat = codec.symbols(codec.compress(photo, 4)).y_hat
    assert not y_hat[..., channels].any()  # the first mean is 0, so all are


def test_rdoq_leaves_low_pass_channels_at_the_nearest_symbol(predicted, photo):
  codec = Codec(predicted, rate_weight=0.2)
  analysis = codec.analyse(photo)
  actual = codec.symbols(codec.encode(analysis, 3))
  qv, iqv = predicted.qv[actual.q], predicted.iqv[actual.q]
  error = np.abs(analysis.y / qv - actual.y_hat / iqv) * actual.mask
  low = predicted.lowpass.channels
  assert error[..., low].max() < 0.5 + 1e-3
  assert error[..., predicted.lowpass.others(len(qv))].max() > 0.55


def test_the_rest_of_a_picture_is_coded_as_without_prediction(
  predicted, tiny_model, photo
):
  ours, theirs = (Codec(model) for model in (predicted, tiny_model))
  analysis = ours.analyse(photo)
  low = predicted.lowpass.channels
  y_hats = [codec.y_hat(analysis, 5) for codec in (ours, theirs)]
  others = predicted.lowpass.others(predicted.config.M)
  np.testing.assert_array_equal(*(y_hat[..., others] for y_hat in y_hats))
  assert (y_hats[0] != y_hats[1])[..., low].any()


def test_the_model_file_comes_back_and_has_version_5(
  predicted, tiny_model, tmp_path
):
  path = tmp_path / "m.sclcm"
  save_model(predicted, path)
  model = read_model(path)
  assert model.fingerprint == predicted.fingerprint
  assert model.lowpass.channels.tolist() == [0, 3, model.config.M - 1]
  assert "3 channels of y predicted" in model.parts
  assert read_about(path)["version"] == 5
  save_model(tiny_model, path)
  assert read_about(path)["version"] == 4


@pytest.mark.parametrize(
  "change",
  [
    {"channels": np.array([0, 3, 3], np.int32)},
    {"channels": np.array([0, 3, 12], np.int32)},
    {"channels": np.array([-1, 3, 4], np.int32)},
    {"channels": np.zeros(0, np.int32)},
    {"channels": np.array([0, 3], np.int32)},
    {"mean": np.zeros((3, 6), np.int32)},
    {"mean": np.full((3, 7), 2**21, np.int32)},
    {"scale": np.full((3, 9), -1, np.int32)},
    {"scale": np.zeros((3, 9), np.float32)},
  ],
)
def test_tensors_that_do_not_fit_are_refused(predicted, tmp_path, change):
  path = tmp_path / "m.sclcm"
  part = dataclasses.replace(predicted.lowpass, **change)
  model = with_fingerprint(dataclasses.replace(predicted, lowpass=part))
  save_model(model, path)
  with pytest.raises(ValueError, match="m.sclcm.*lowpass"):
    read_model(path)
