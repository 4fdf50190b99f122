import dataclasses
import pathlib
import sys

import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.entropy.tables import gaussian_tables
from sclc_jax.codec.exact.context import (
  ContextState,
  build_context_path,
  coding_groups,
)
from sclc_jax.codec.latents.analysis import Analysis
from sclc_jax.codec.model.model_file import (
  find_model,
  read_model,
  save_model,
)
from sclc_jax.codec.model.shipped import shipped_models
from sclc_jax.codec.stream import bitstream, sections
from sclc_jax.config import BASES
from sclc_jax.export.freeze import with_mask_threshold
from sclc_jax.images import load_photo
from sclc_jax.models.context import TAPS, widths

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import independent_decoder  # noqa: E402
from golden_test import OWN_MODELS  # noqa: E402

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "format.md"
BOUNDS = independent_decoder.read_bounds(PAGE.read_text())
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v*/**/*.sclc"))
NAMES = [str(p.relative_to(GOLDEN).with_suffix("")) for p in FILES]


def _compare(data, codec, tensors, config):
  """Decodes a file both ways; returns it, taken apart by the page's decoder."""
  tables = gaussian_tables()
  file = independent_decoder.parse(data)
  actual = independent_decoder.decode_symbols(
    file, tensors, config, tables.cdf, tables.cdf_offset, BOUNDS
  )
  ours = codec.symbols(data)
  q = np.broadcast_to(ours.q, ours.mask.shape[:2])
  for theirs, wanted in zip(
    actual, (ours.z, q, ours.mask, ours.index, ours.y)
  ):
    np.testing.assert_array_equal(theirs, wanted)
  np.testing.assert_allclose(actual[-1], ours.y_hat, rtol=1e-6)
  return file


def _model_path(folder):
  own = folder / "model.sclcm"
  return own if own.exists() else GOLDEN / "v1" / "model.sclcm"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_decoder_written_from_the_page_finds_the_same_symbols(path):
  model = _model_path(path.parent)
  tensors, config = independent_decoder.read_model(model.read_bytes())
  codec = Codec(read_model(model))
  file = _compare(path.read_bytes(), codec, tensors, config)
  if bitstream.ALPHA in file.sections:
    picture = load_photo(path.with_suffix(".png")).image
    alpha = independent_decoder.decode_alpha(file)
    np.testing.assert_array_equal(alpha, picture[..., -1])
  assert independent_decoder.decode_metadata(file) == codec.metadata(
    path.read_bytes()
  )


def test_a_model_is_told_from_its_parent_as_the_page_says(tmp_path):
  path, whole = tmp_path / "child.sclcm", tmp_path / "whole.sclcm"
  parent = find_model("hyperprior-mse")
  model = with_mask_threshold(parent, 0.3)
  save_model(model, path, parent)
  save_model(model, whole)
  assert path.stat().st_size < whole.stat().st_size / 20
  tensors, config = independent_decoder.read_model(
    path.read_bytes(), [file.read_bytes() for file in shipped_models().values()]
  )
  wanted, same_config = independent_decoder.read_model(whole.read_bytes())
  assert config == same_config and tensors.keys() == wanted.keys()
  for name, value in wanted.items():
    np.testing.assert_array_equal(tensors[name], value)


@pytest.mark.parametrize("unselected", ["mean", "zero"])
@pytest.mark.parametrize("base", (*BASES, *OWN_MODELS))
def test_wild_latents_under_a_quality_map_decode_as_the_page_says(
  base, unselected
):
  """Values at every clip and escape, steps from one end to the other."""
  path = GOLDEN / "v1" / ("" if base == "hyperprior" else base)
  tensors, config = independent_decoder.read_model(
    (path / "model.sclcm").read_bytes()
  )
  config = config | {"unselected": unselected}
  model = read_model(path / "model.sclcm")
  model = dataclasses.replace(
    model, config=dataclasses.replace(model.config, unselected=unselected)
  )
  codec = Codec(model)
  rng = np.random.default_rng(len(base))
  z = np.round(rng.standard_cauchy((3, 2, model.config.N)) * 8)
  z = np.clip(z, -1024, 1024).astype(np.int32)
  z[0, 0] = 1024 * rng.choice([-1, 1], model.config.N)
  y = rng.standard_cauchy((12, 8, model.config.M)).astype(np.float32) * 4
  y[1, 2, ::2] = 1e9 * rng.choice([-1, 1], model.config.M // 2)
  channels = np.tile(np.arange(model.config.N), 6)
  z_data = get_engine("portable").encode(model.z_tables, z.ravel(), channels)
  side, importance = model.control.prior(z)
  analysis = Analysis(130, 100, 0, y, z, z_data, side, importance)
  quality = rng.uniform(1, 8, (3, 2))
  quality[1] = 1, 8
  data = codec.encode(analysis, quality)
  _compare(data, codec, tensors, config)


@pytest.mark.parametrize("order", list(TAPS))
def test_context_layers_of_several_padded_blocks_are_read_as_the_page_says(
  order,
):
  M = 170
  rng = np.random.default_rng(1)
  first, second, last = widths(M)
  shapes = [(4 * M, first), (first, second), (second, last)]
  params = {
    "masked": rng.normal(0, 0.02, (12, M, 2 * M)),
    "bias": rng.normal(size=2 * M),
  }
  for i, (inputs, outputs) in enumerate(shapes):
    kernel = rng.normal(0, inputs**-0.5, (1, 1, inputs, outputs))
    params[f"conv_{i}"] = {
      "kernel": kernel, "bias": rng.normal(size=outputs)
    }  # fmt: skip
  steps = rng.gamma(2, 1, (1, M)).astype(np.float32)
  path = build_context_path(order, params, steps)
  assert [layer.weight.shape[0] for layer in path.layers] == [12, 2, 2, 2]
  tensors = {
    f"control/context_{i}/{field.name}": getattr(layer, field.name)
    for i, layer in enumerate(path.layers)
    for field in dataclasses.fields(layer)
  }
  state = ContextState(path, 4, 5)
  groups = coding_groups(order, 4, 5)
  side = rng.integers(-(2**16), 2**16, (20, first)).astype(np.int32)
  for group in groups[:-1]:
    normal = rng.integers(-(2**14), 2**14, (group.size, M))
    state.add(group, normal, 0)
  actual = state.gaussian(side[groups[-1]], groups[-1])
  known = state._known[..., :M].astype(np.int64)
  for position, ours in zip(groups[-1], actual):
    theirs = independent_decoder._context(
      known, side[position], *divmod(position, 5), tensors, order
    )
    np.testing.assert_array_equal(theirs, ours)
  assert np.unique(actual).size > M


@pytest.mark.parametrize("kind", range(4))
def test_every_filter_of_alpha_is_read_as_the_page_says(kind):
  rng = np.random.default_rng(kind)
  data = sections.encode_alpha(rng.integers(0, 256, (9, 7), np.uint8))
  hostile = bytes([kind]) + data[1:]
  file = independent_decoder.Parsed(0, 0, 9, 7, 0, b"", b"", {1: hostile})
  np.testing.assert_array_equal(
    independent_decoder.decode_alpha(file),
    sections.decode_alpha(hostile, 9, 7),
  )


def test_escapes_of_every_table_are_read_as_the_page_says():
  tables = gaussian_tables()
  symbols = np.array([-3000, 3000, 2**29, -(2**29), 0] * 64, np.int32)
  indexes = np.repeat(np.arange(64, dtype=np.int32), 5)
  data = get_engine("portable").encode(tables, symbols, indexes)
  actual = independent_decoder._Decoder(data).symbols(
    independent_decoder._rows(tables.cdf), tables.cdf_offset, indexes.tolist()
  )
  np.testing.assert_array_equal(actual, symbols)
