import dataclasses

import numpy as np
import pytest
from PIL import Image

from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.latents.analysis import Analysis
from sclc_jax.codec.model.codec_model import with_fingerprint
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.codec.stream import bitstream
from sclc_jax.metrics import psnr_db


@pytest.mark.parametrize(
  "shape", [(1, 1, 3), (1, 70, 3), (65, 3, 3), (128, 64, 3), (5, 9)]
)
@pytest.mark.parametrize("quality", [1, 4.5, 8])
def test_any_size_comes_back_at_its_size(codec, shape, quality):
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, shape).astype(np.uint8)
  out = codec.decompress(codec.compress(image, quality))
  assert out.shape == image.shape and out.dtype == np.uint8


def test_paths_and_pictures_of_pillow_are_coded_like_their_pixels(
  codec, photo, tmp_path
):
  wanted = codec.compress(photo, 3)
  path = tmp_path / "a.png"
  Image.fromarray(photo).save(path)
  assert codec.compress(path, 3) == codec.compress(str(path), 3) == wanted
  with Image.open(path) as image:
    assert codec.compress(image, 3) == wanted
    assert codec.compress_many([image, path], 3) == [wanted, wanted]
  turned = Image.fromarray(np.ascontiguousarray(np.rot90(photo)))
  exif = turned.getexif()
  exif[274] = 6  # shown upright by a quarter turn clockwise
  turned.save(tmp_path / "b.png", exif=exif)
  with Image.open(tmp_path / "b.png") as image:
    assert codec.compress(image, 3) == wanted


def test_a_target_stands_in_place_of_a_quality(codec, photo):
  size = len(codec.compress(photo, 5))
  assert len(codec.compress(photo, max_bytes=size)) <= size
  data = codec.compress(photo, target_bytes=size)
  assert len(data) == pytest.approx(size, rel=0.01)
  for wrong in ({"target": 3}, {"max_bytes": 9, "target_bpp": 1}):
    with pytest.raises(ValueError, match="give one of target_bpp"):
      codec.compress(photo, **wrong)


def test_a_codec_tells_what_it_is(codec):
  assert repr(codec) == (
    f"Codec(hyperprior N=8 M=12, model {codec.model.fingerprint.hex()}, "
    "effort=0)"
  )


def test_decoder_finds_the_symbols_that_the_encoder_wrote(codec, photo):
  analysis = codec.analyse(photo)
  data = codec.encode(analysis, 3.25)
  _, z, side, mask = codec._decoder.control(bitstream.unpack(data))
  np.testing.assert_array_equal(z, analysis.z)
  np.testing.assert_array_equal(side, analysis.side)
  np.testing.assert_array_equal(mask, codec.mask(analysis, 3.25))


def test_selection_is_neither_empty_nor_full(codec, photo):
  analysis = codec.analyse(photo)
  fractions = [codec.mask(analysis, q).mean() for q in np.arange(1, 8.1, 0.25)]
  assert 0 < min(fractions) < max(fractions) < 1


def test_selection_of_the_shipped_model_grows_with_quality(photo):
  shipped = load_codec()
  analysis = shipped.analyse(photo)
  fractions = [
    shipped.mask(analysis, q).mean() for q in np.arange(1, 8.1, 0.25)
  ]
  assert 0 < fractions[0] < fractions[-1] <= 1
  assert fractions == sorted(fractions)


@pytest.mark.parametrize("engine", ["portable", "tfc"])
def test_engines_make_the_same_file(tiny_model, photo, engine):
  if engine == "tfc":
    pytest.importorskip("tensorflow_compression")
  data = Codec(tiny_model, engine).compress(photo, 5)
  assert data == Codec(tiny_model).compress(photo, 5)


def test_every_cut_and_every_flipped_byte_is_an_error(codec, photo):
  data = codec.compress(photo[:64, :64], 2)
  for i in range(len(data)):
    with pytest.raises(ValueError):
      codec.decompress(data[:i])
    damaged = bytearray(data)
    damaged[i] ^= 1 << (i % 8)
    with pytest.raises(ValueError):
      codec.decompress(bytes(damaged))
  with pytest.raises(ValueError, match="after its end"):
    codec.decompress(data + b"x")


def test_overhead_is_at_most_32_bytes(codec, photo):
  info = codec.info(codec.compress(photo, 8))
  assert info["bytes"] - info["z_bytes"] - info["y_bytes"] <= 32
  side = 2**21 - 1
  file = bitstream.File(b"x" * 6, 0, 448, side, side, 1, b"", b"")
  assert len(bitstream.pack(file)) + 2 + 3 <= 32


def test_pixel_limit_is_checked_before_decoding(tiny_model, codec, photo):
  limited = Codec(tiny_model, max_pixels=100)
  with pytest.raises(ValueError, match="--max-pixels"):
    limited.decompress(codec.compress(photo, 1))


def test_sides_that_no_reader_takes_are_refused(codec):
  with pytest.raises(ValueError, match="1x2097152.*2097151"):
    codec.compress(np.zeros((2**21, 1), np.uint8))


@pytest.mark.parametrize("value", [-(2**31), -1025, 1025])
def test_hyper_latent_out_of_range_is_damage(tiny_model, codec, value):
  tables, M = tiny_model.z_tables, tiny_model.config.M
  z = np.zeros((1, 1, tiny_model.config.N), np.int32)
  z[0, 0, 0] = value
  # Past the encoder's own check of symbols.
  z_data = get_engine("portable")._encode(
    tables, z.ravel() - tables.cdf_offset, np.arange(z.size, dtype=np.int32)
  )
  side, importance = tiny_model.control.prior(z)
  y = np.zeros((4, 4, M), np.float32)
  actual = Analysis(5, 5, 0, y, z, z_data, side, importance)
  with pytest.raises(bitstream.DamagedFileError, match="hyper latent"):
    codec.symbols(codec.encode(actual, 4))


def test_model_file_round_trips_and_damage_is_found(
  tiny_model, photo, tmp_path
):
  path = tmp_path / "m.sclcm"
  save_model(tiny_model, path)
  first = path.read_bytes()
  model = read_model(path)
  assert model.fingerprint == tiny_model.fingerprint
  assert Codec(model).compress(photo, 3) == Codec(tiny_model).compress(photo, 3)
  save_model(model, path)
  assert path.read_bytes() == first
  for damaged in (first[:-1], first[:100], b"", first[:-9] + b"\x01" * 9):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="m.sclcm"):
      read_model(path)


def _saved(model, path):
  """Writes a model under the fingerprint of what it now holds."""
  save_model(with_fingerprint(model), path)


@pytest.mark.parametrize(
  "change",
  [
    lambda cdf: cdf[: cdf.size // 2],
    lambda cdf: cdf[1:],
    lambda cdf: cdf[:-1],
    lambda cdf: np.where(cdf < 0, -20, cdf),
    lambda cdf: np.where(cdf == 2**16, 2**17, cdf),
    lambda cdf: np.append(cdf, -16),
    lambda cdf: cdf[:0],
    lambda cdf: cdf[None],
  ],
)
def test_model_with_broken_tables_is_refused(tiny_model, tmp_path, change):
  cdf = np.ascontiguousarray(change(tiny_model.z_tables.cdf), np.int32)
  tables = dataclasses.replace(tiny_model.z_tables, cdf=cdf)
  path = tmp_path / "m.sclcm"
  _saved(dataclasses.replace(tiny_model, z_tables=tables), path)
  with pytest.raises(ValueError, match="m.sclcm.*z_tables"):
    read_model(path)


@pytest.mark.parametrize("layer", range(4))
@pytest.mark.parametrize("field", ["weight", "bias", "shift"])
def test_context_model_of_another_size_is_refused(
  model_of, tmp_path, layer, field
):
  model = model_of("checkerboard")
  layers = list(model.context.layers)
  cut = {field: getattr(layers[layer], field)[..., :-1]}
  layers[layer] = dataclasses.replace(layers[layer], **cut)
  context = dataclasses.replace(model.context, layers=tuple(layers))
  path = tmp_path / "m.sclcm"
  _saved(dataclasses.replace(model, context=context), path)
  with pytest.raises(ValueError, match=f"m.sclcm.*context_{layer}"):
    read_model(path)


def test_another_models_file_is_refused(tiny_model, codec, photo):
  other = Codec(dataclasses.replace(tiny_model, fingerprint=b"123456"))
  with pytest.raises(ValueError, match="--model"):
    codec.decompress(other.compress(photo, 1))


@pytest.mark.parametrize("quality", [0.5, 9, float("nan"), float("inf")])
def test_quality_outside_its_range_is_named(codec, photo, quality):
  with pytest.raises(ValueError, match=r"\[1, 8\]"):
    codec.compress(photo, quality)


def test_shipped_model_is_better_and_larger_at_higher_quality(photo):
  codec = load_codec()
  sizes, psnrs = [], []
  for quality in range(1, 9):
    data = codec.compress(photo, quality)
    sizes.append(len(data))
    psnrs.append(psnr_db(photo, codec.decompress(data)))
  assert sizes == sorted(sizes)
  assert psnrs[-1] > psnrs[0] + 2 and psnrs[-1] > 27
