import pathlib
import sys

import numpy as np
import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.range_coder import get_engine
from sclc_jax.codec.tables import gaussian_tables

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import independent_decoder  # noqa: E402

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "format.md"
BOUNDS = independent_decoder.read_bounds(PAGE.read_text())
V1 = pathlib.Path(__file__).parents[1] / "golden" / "v1"


@pytest.mark.parametrize("name", ["rgb_q4.5", "gray_q3", "noise_q8"])
def test_a_decoder_written_from_the_page_finds_the_same_symbols(
  tiny_model, name
):
  data = (V1 / f"{name}.sclc").read_bytes()
  model = independent_decoder.read_model((V1 / "model.sclcm").read_bytes())
  tables = gaussian_tables()
  found = independent_decoder.decode_symbols(
    data, model, tables.cdf, tables.cdf_offset, BOUNDS
  )
  ours = Codec(tiny_model).symbols(data)
  for theirs, wanted in zip(found, (ours.z, ours.mask, ours.index, ours.y)):
    np.testing.assert_array_equal(theirs, wanted)


def test_escapes_of_every_table_are_read_as_the_page_says():
  tables = gaussian_tables()
  symbols = np.array([-3000, 3000, 2**29, -(2**29), 0] * 64, np.int32)
  indexes = np.repeat(np.arange(64, dtype=np.int32), 5)
  data = get_engine("portable").encode(tables, symbols, indexes)
  found = independent_decoder._decode(
    data, independent_decoder._rows(tables.cdf), tables.cdf_offset,
    indexes.tolist(),
  )  # fmt: skip
  np.testing.assert_array_equal(found, symbols)
