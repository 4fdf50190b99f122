"""Shared fixtures: a photograph, and a small random model."""

import jax
import numpy as np
import pytest
import skimage.data

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model_file import freeze
from sclc_jax.config import ModelConfig
from sclc_jax.models.variable_rate import init_params


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
  return skimage.data.astronaut()[:128, 160:320]


@pytest.fixture(scope="session")
def tiny_model():
  config = ModelConfig(
    N=8, M=12, init="wavelet", table_init="geometric", importance_bias=-0.1
  )
  return freeze(config, jax.device_get(init_params(config, 3)))


@pytest.fixture(scope="session")
def codec(tiny_model) -> Codec:
  return Codec(tiny_model)
