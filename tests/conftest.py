"""Shared fixtures: a photograph, and a small model with random weights."""

import os
import pathlib
from collections.abc import Callable, Iterator

import gcs_emulator
import jax
import numpy as np
import pytest
import skimage.data
from jax.experimental.compilation_cache import compilation_cache

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.model.model_file import read_model

GOLDEN = pathlib.Path(__file__).parent / "golden"


def _configure(**values: bool | float | str) -> None:
  """Sets JAX's options, for processes that tests start as well."""
  for key, value in values.items():
    jax.config.update(key, value)
    os.environ[key.upper()] = str(value)


@pytest.fixture(scope="session", autouse=True)
def compile_quickly(tmp_path_factory) -> None:
  """Many tests compile the same small models, in other processes too.

  Without most optimisations, as hardly a test computes for longer than that
  takes to compile: with JAX 0.12 they made it two to four times as long.
  """
  _configure(
    jax_compilation_cache_dir=str(tmp_path_factory.mktemp("compiled")),
    jax_persistent_cache_min_compile_time_secs=0.2,
    jax_disable_most_optimizations=True,
  )


@pytest.fixture(scope="module")
def compile_as_users_do(compile_quickly) -> Iterator[None]:
  """With all optimisations; for what is said about users' files."""
  _configure(jax_disable_most_optimizations=False)
  jax.clear_caches()
  yield
  _configure(jax_disable_most_optimizations=True)
  jax.clear_caches()


@pytest.fixture(scope="module")
def compile_anew(compile_quickly) -> Iterator[None]:
  """Stores no program; for training steps, hardly two of which are alike."""
  jax.config.update("jax_enable_compilation_cache", False)
  compilation_cache.reset_cache()
  yield
  jax.config.update("jax_enable_compilation_cache", True)
  compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def storage_server() -> dict[str, str]:
  return gcs_emulator.start("bucket")


@pytest.fixture
def bucket(storage_server, tmp_path, monkeypatch) -> str:
  """A folder in a bucket, as gs://..., with nothing in it."""
  for name, value in storage_server.items():
    monkeypatch.setenv(name, value)
  return f"gs://bucket/{tmp_path.name}"


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
  return skimage.data.astronaut()[:128, 160:320]


@pytest.fixture(scope="session")
def tiny_model() -> CodecModel:
  return read_model(GOLDEN / "v1" / "model.sclcm")


@pytest.fixture(scope="session")
def model_of() -> Callable[[str], CodecModel]:
  """The golden model of a base, by name."""

  def read(base: str) -> CodecModel:
    folder = GOLDEN / "v1"
    folder = folder if base == "hyperprior" else folder / base
    return read_model(folder / "model.sclcm")

  return read


@pytest.fixture(scope="session")
def codec(tiny_model) -> Codec:
  return Codec(tiny_model)
