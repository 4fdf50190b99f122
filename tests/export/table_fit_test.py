import dataclasses

import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.entropy.range_coder import (
  get_engine,
  intervals,
  symbol_bits,
)
from sclc_jax.codec.entropy.tables import (
  SCALES,
  build_fitted_tables,
  gaussian_tables,
)
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.config import BASES
from sclc_jax.export.freeze import with_tables
from sclc_jax.export.table_fit import fit_tables


@pytest.fixture(scope="module")
def fitted(tiny_model, photo):
  return fit_tables(tiny_model, [photo])


def _counts(symbols, indexes):
  at, _ = intervals(gaussian_tables(), symbols, indexes)
  return np.bincount(at, minlength=gaussian_tables().cdf.size)


def test_tables_of_no_counts_are_the_gaussian_ones():
  gaussian = gaussian_tables()
  built = build_fitted_tables(
    gaussian, np.zeros(gaussian.cdf.size, np.int64)
  )
  np.testing.assert_array_equal(built.starts, gaussian.starts)
  np.testing.assert_array_equal(built.cdf_offset, gaussian.cdf_offset)
  assert np.abs(built.cdf - gaussian.cdf).max() <= 32  # the floor of 1 moves


@pytest.mark.parametrize("index", [0, 10, 40])
def test_rows_follow_what_was_counted_and_are_symmetric(index):
  rng = np.random.default_rng(index)
  symbols = np.round(rng.laplace(0, SCALES[index], 200_000)).astype(np.int32)
  indexes = np.full(symbols.size, index, np.int32)
  tables = build_fitted_tables(gaussian_tables(), _counts(symbols, indexes))
  assert tables.is_valid(64)
  start, stop = tables.starts[index : index + 2]
  masses = np.diff(tables.cdf[start + 1 : stop])[:-1]
  assert np.abs(masses - masses[::-1]).max() <= 16
  other = np.round(rng.laplace(0, SCALES[index], 50_000)).astype(np.int32)
  indexes = indexes[: other.size]
  before, after = (
    symbol_bits(t, other, indexes).mean() for t in (gaussian_tables(), tables)
  )
  assert after < 0.97 * before
  _, n = np.unique(other, return_counts=True)
  entropy = -(n / n.sum() * np.log2(n / n.sum())).sum()
  assert after < 1.02 * entropy + 0.001


def test_symbols_and_escapes_survive_fitted_tables(fitted):
  tables = fitted[0].y_tables
  rng = np.random.default_rng(0)
  symbols = np.round(rng.standard_cauchy(5000) * 4).astype(np.int32)
  indexes = rng.integers(0, 64, 5000).astype(np.int32)
  engine = get_engine("portable")
  data = engine.encode(tables, symbols, indexes)
  np.testing.assert_array_equal(engine.decode(tables, data, indexes), symbols)
  bits = symbol_bits(tables, symbols, indexes).sum()
  assert abs(8 * len(data) / bits - 1) < 0.005


def test_files_are_smaller_and_the_picture_is_the_same(
  fitted, tiny_model, photo
):
  model, saved = fitted
  ours, plain = Codec(model), Codec(tiny_model)
  assert model.fingerprint != tiny_model.fingerprint and 0 < saved < 0.5
  sizes = np.zeros(2)
  for level in range(1, 9):
    files = [codec.compress(photo, level) for codec in (ours, plain)]
    sizes += [plain.info(data)["y_bytes"] for data in files]
    np.testing.assert_array_equal(
      ours.decompress(files[0]), plain.decompress(files[1])
    )
  assert abs((1 - sizes[0] / sizes[1]) - saved) < 0.01


def test_a_fit_of_a_fitted_model_starts_from_the_gaussians(fitted, photo):
  again, _ = fit_tables(fitted[0], [photo])
  assert again.fingerprint == fitted[0].fingerprint


@pytest.mark.parametrize("base", BASES[1:])
def test_other_bases_are_fitted_alike(model_of, base, photo):
  model, saved = fit_tables(model_of(base), [photo[:64, :64]])
  codec = Codec(model)
  data = codec.compress(photo[:64, :64], 5)
  assert saved > 0 and codec.decompress(data).shape == (64, 64, 3)


def test_the_model_file_round_trips_and_broken_tables_are_refused(
  fitted, photo, tmp_path
):
  path = tmp_path / "m.sclcm"
  save_model(fitted[0], path)
  model = read_model(path)
  assert model.fingerprint == fitted[0].fingerprint
  data = Codec(model).compress(photo, 4)
  assert data == Codec(fitted[0]).compress(photo, 4)
  offsets = model.fitted.cdf_offset[:-1]
  cut = dataclasses.replace(model.fitted, cdf_offset=offsets)
  save_model(with_tables(model, cut), path)
  with pytest.raises(ValueError, match="m.sclcm.*y_tables"):
    read_model(path)


def test_export_fits_a_model_to_a_folder(
  fitted, tiny_model, photo, tmp_path, capsys
):
  photos, out = tmp_path / "photos", tmp_path / "m.sclcm"
  photos.mkdir()
  plain = tmp_path / "plain.sclcm"
  save_model(tiny_model, plain)
  args = ["export", "--model", str(plain), "-o", str(out)]
  args += ["--fit-tables", str(photos)]
  assert cli.main(args) == 1 and not out.exists()
  assert "has no image" in capsys.readouterr().err
  Image.fromarray(photo).save(photos / "a.png")
  assert not cli.main(args)
  assert read_model(out).fingerprint == fitted[0].fingerprint
  assert cli.main([*args, "--best"]) == 1
  assert "--model" in capsys.readouterr().err


def test_nothing_coded_is_refused(tiny_model):
  with pytest.raises(ValueError, match="codes nothing"):
    fit_tables(tiny_model, [])
