import numpy as np
import pytest

from sclc_jax.codec import rate_control
from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.codec.rate_control import MAX_TRIALS, compress_to
from sclc_jax.config import ModelConfig
from sclc_jax.evaluation.perceptual import ssimulacra2
from sclc_jax.export.freeze import freeze
from sclc_jax.metrics import psnr_db
from sclc_jax.models.variable_rate import init_params


@pytest.fixture(scope="module")
def shipped():
  return load_codec()


@pytest.fixture(scope="module")
def sizes(shipped, photo):
  analysis = shipped.analyse(photo)
  return [len(shipped.encode(analysis, q)) for q in (1, 3, 5, 8)]


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.98])
def test_size_is_within_one_percent(shipped, photo, sizes, where):
  target = sizes[0] * (sizes[-1] / sizes[0]) ** where
  hit = compress_to(shipped, photo, "bytes", target)
  assert abs(len(hit.data) / target - 1) <= 0.01
  assert hit.trials <= MAX_TRIALS
  assert shipped.info(hit.data)["quality"] == hit.quality
  pixels = photo.shape[0] * photo.shape[1]
  bpp = compress_to(shipped, photo, "bpp", 8 * target / pixels)
  assert bpp.data == hit.data


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.98])
def test_max_bytes_is_never_passed_and_nearly_used(
  shipped, photo, sizes, where
):
  limit = int(sizes[0] * (sizes[-1] / sizes[0]) ** where)
  hit = compress_to(shipped, photo, "max_bytes", limit)
  assert 0.985 * limit <= len(hit.data) <= limit
  assert hit.trials <= MAX_TRIALS


def test_max_bytes_above_the_largest_file_gives_the_best_quality(
  shipped, photo, sizes
):
  hit = compress_to(shipped, photo, "max_bytes", 10 * sizes[-1])
  assert hit.quality == 8 and len(hit.data) == sizes[-1]


@pytest.mark.parametrize("where", [0.02, 0.5, 0.98])
def test_sizes_that_are_mostly_metadata(shipped, photo, sizes, where):
  metadata = {"icc": np.random.default_rng(0).bytes(100 * sizes[-1])}
  least = len(shipped.compress(photo, 1, metadata))
  limit = int(least + where * (sizes[-1] - sizes[0]))
  hit = compress_to(shipped, photo, "max_bytes", limit, metadata)
  assert len(hit.data) <= limit
  hit = compress_to(shipped, photo, "bytes", limit, metadata)
  assert abs(len(hit.data) / limit - 1) <= 0.01
  with pytest.raises(ValueError, match="lowest"):
    compress_to(shipped, photo, "max_bytes", 90 * sizes[-1], metadata)


def test_psnr_is_reached(shipped, photo):
  target = psnr_db(photo, shipped.decompress(shipped.compress(photo, 3.3)))
  hit = compress_to(shipped, photo, "psnr", target)
  actual = psnr_db(photo, shipped.decompress(hit.data))
  assert abs(actual - hit.value) <= 0.1 and abs(actual - target) <= 0.1


@pytest.mark.parametrize("quality", [1, 1.6, 4, 7.3, 8])
def test_ssimulacra2_is_reached(shipped, photo, quality):
  target = ssimulacra2(
    photo, shipped.decompress(shipped.compress(photo, quality))
  )
  hit = compress_to(shipped, photo, "ssimulacra2", target, score=ssimulacra2)
  actual = ssimulacra2(photo, shipped.decompress(hit.data))
  assert abs(actual - hit.value) <= 0.01 and abs(actual - target) <= 0.25
  assert hit.trials <= MAX_TRIALS


def test_a_score_leaves_out_what_is_hidden(shipped, photo):
  alpha = np.full(photo.shape[:2] + (1,), 255, np.uint8)
  alpha[:, 80:] = 0
  seen = []

  def score(x, x_hat):
    seen.append(np.array_equal(x[:, 80:], x_hat[:, 80:]))
    return ssimulacra2(x, x_hat)

  image = np.concatenate([photo, alpha], -1)
  compress_to(shipped, image, "ssimulacra2", 75, score=score)
  assert seen and all(seen)


@pytest.mark.parametrize("target, words", [
  (101, "at most 100"), (float("nan"), "at most 100"), (99.9, "highest"),
  (-500, "lowest"),
])  # fmt: skip
def test_a_score_out_of_reach_is_refused(shipped, photo, target, words):
  with pytest.raises(ValueError, match=words):
    compress_to(shipped, photo, "ssimulacra2", target, score=ssimulacra2)


def test_what_is_too_small_for_a_score_is_refused(shipped, photo):
  with pytest.raises(ValueError, match="8 pixels a side"):
    compress_to(shipped, photo[:7], "ssimulacra2", 60, score=ssimulacra2)


def test_the_typical_curve_is_that_of_the_default_model(shipped):
  with np.load(rate_control.TYPICAL) as typical:
    assert typical["fingerprint"].tobytes() == shipped.model.fingerprint


@pytest.mark.parametrize("error", [-3, 3])
@pytest.mark.parametrize("quality", [1.2, 4, 7.9])
def test_psnr_is_reached_though_the_typical_curve_is_another_model_s(
  shipped, photo, monkeypatch, tmp_path, error, quality
):
  with np.load(rate_control.TYPICAL) as typical:
    constants = dict(typical)
  constants["mean"][2 * len(rate_control.PROBED) :] += error
  constants["fingerprint"] += 1
  np.savez(tmp_path / "typical.npz", **constants)
  monkeypatch.setattr(rate_control, "TYPICAL", tmp_path / "typical.npz")
  target = psnr_db(photo, shipped.decompress(shipped.compress(photo, quality)))
  hit = compress_to(shipped, photo, "psnr", target)
  actual = psnr_db(photo, shipped.decompress(hit.data))
  assert abs(actual - target) <= 0.1 and hit.trials <= MAX_TRIALS


def test_psnr_is_reached_by_an_untrained_model_of_three_levels(photo):
  config = ModelConfig(
    N=8, M=48, levels=3, init="wavelet", table_init="geometric"
  )
  codec = Codec(freeze(config, init_params(config, 0)))
  target = psnr_db(photo, codec.decompress(codec.compress(photo, 2.2)))
  hit = compress_to(codec, photo, "psnr", target)
  actual = psnr_db(photo, codec.decompress(hit.data))
  assert actual == hit.value and abs(actual - target) <= 0.05


def test_psnr_counts_neither_alpha_nor_metadata(shipped, photo):
  alpha = np.dstack([photo, photo[..., :1]])
  metadata = {"icc": bytes(range(256))}
  plain = compress_to(shipped, photo, "psnr", 30)
  hit = compress_to(shipped, alpha, "psnr", 30, metadata)
  assert (hit.quality, hit.value) == (plain.quality, plain.value)
  size = compress_to(shipped, alpha, "bytes", 1.1 * len(hit.data), metadata)
  assert abs(len(size.data) / (1.1 * len(hit.data)) - 1) <= 0.01


def test_reconstruction_is_what_the_file_gives(shipped, photo):
  analysis = shipped.analyse(photo)
  for quality in (2.5, np.array([[1, 8], [4, 4.0]])):
    np.testing.assert_array_equal(
      shipped.reconstruct(analysis, quality),
      shipped.decompress(shipped.encode(analysis, quality)),
    )


@pytest.mark.parametrize(
  "kind, target, words",
  [
    ("bytes", 10, "lowest"),
    ("max_bytes", 10, "lowest"),
    ("bytes", 10**7, "highest"),
    ("psnr", 90, "highest"),
    ("bpp", -1, "positive"),
    ("bpp", float("nan"), "positive"),
    ("dB", 3, "kind"),
  ],
)
def test_what_cannot_be_reached_is_said(shipped, photo, kind, target, words):
  with pytest.raises(ValueError, match=words):
    compress_to(shipped, photo, kind, target)
