import json

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from sclc_jax.codec.model.tensor_file import (
  DamagedTensorsError,
  read_about,
  read_tensors,
  write_tensors,
)

_KINDS = ["<f2", "<f4", "<i2", "<i4", "<i8", "|u1"]


@given(
  array=st.sampled_from(_KINDS).flatmap(
    lambda kind: numpy_strategies.arrays(
      kind, numpy_strategies.array_shapes(min_dims=0, min_side=0)
    )
  )
)
def test_arrays_come_back_to_the_bit(array, tmp_path_factory):
  path = tmp_path_factory.getbasetemp() / "tensors"
  tensors = {"a": array, "a/b": array.T}
  write_tensors(path, {"version": 7}, tensors)
  assert read_about(path) == {"version": 7}
  actual = read_tensors(path)
  assert actual.keys() == tensors.keys()
  for name, wanted in tensors.items():
    assert actual[name].dtype == wanted.dtype
    assert actual[name].shape == wanted.shape
    assert actual[name].tobytes() == wanted.tobytes()


def test_numbers_of_few_steps_take_fewer_bytes(tmp_path):
  rng = np.random.default_rng(0)
  sizes = []
  for step in (2.0**-7, 2.0**-12):
    kernel = np.round(rng.laplace(0, 0.7, 10_000) / step) * step
    write_tensors(tmp_path / "m", {}, {"a": kernel.astype(np.float16)})
    sizes.append((tmp_path / "m").stat().st_size)
  assert sizes[0] < 15_500 < sizes[1] < 20_000


@pytest.mark.parametrize("kind", ["<f4", "<i4"])
def test_tables_with_smooth_columns_take_fewer_bytes(tmp_path, kind):
  rng = np.random.default_rng(0)
  rows = np.linspace(0, 7, 449)[:, None]
  table = (1e4 * np.exp(rows * rng.uniform(-0.5, 0.5, 30))).astype(kind)
  sizes = []
  for array in (table, rng.permutation(table)):
    write_tensors(tmp_path / "m", {}, {"a": array})
    assert np.array_equal(read_tensors(tmp_path / "m")["a"], array)
    sizes.append((tmp_path / "m").stat().st_size)
  assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize(
  "change",
  [
    lambda layout, packed: layout.update(a=["<f4", [3, 2]]),
    lambda layout, packed: layout.update(a=["<f4", [1, 2]]),
    lambda layout, packed: layout.update(a=["<f4", [-2, -2]]),
    lambda layout, packed: layout.update(a=["<f4", [1 << 60, 1 << 60]]),
    lambda layout, packed: layout.update(a=["<f4", ["2", 2]]),
    lambda layout, packed: layout.update(a=["O", [2, 1]]),
    lambda layout, packed: layout.update(a=["no", [2, 2]]),
    lambda layout, packed: layout.update(a=["<f4", [2, 2], 4]),
    lambda layout, packed: layout.update(a=["<f4", [2, 2], -1]),
    lambda layout, packed: layout.update(a=["<f4", [2, 2], "1"]),
    lambda layout, packed: layout.update(a=["<f4", [2, 2], True]),
    lambda layout, packed: layout.update(a=["<f4", [2, 2], 0, 0]),
    lambda layout, packed: layout.update(a=["<f4"]),
    lambda layout, packed: layout.update(a=["(2,2", [2, 2]]),
    lambda layout, packed: layout.update(a=["<f4", [1] * 65]),
    lambda layout, packed: layout.update(a=["<f4", [4], 1]),
    lambda layout, packed: layout.update(a=["<f2", [2, 4], 1]),
    lambda layout, packed: layout.update(b=["<f4", [2, 2]]),
    lambda layout, packed: packed.update(a=packed["a"][:-5]),
    lambda layout, packed: packed.update(a=packed["a"][::-1].copy()),
  ],
)
def test_damage_is_found(tmp_path, change):
  path = tmp_path / "m"
  write_tensors(path, {"version": 3}, {"a": np.ones((2, 2), np.float32)})
  packed = safetensors.numpy.load_file(path)
  with safetensors.safe_open(str(path), "numpy") as file:
    about = json.loads(file.metadata()["sclcm"])
  change(about["tensors"], packed)
  header = {"sclcm": json.dumps(about)}
  safetensors.numpy.save_file(packed, path, header)
  with pytest.raises(DamagedTensorsError):
    read_tensors(path)
