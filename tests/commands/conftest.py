"""A folder with a model and small photos, and the command line in it."""

import numpy as np
import pytest
from cli_runs import run
from PIL import Image

from sclc_jax.codec.model.model_file import save_model


@pytest.fixture
def album(tmp_path, photo, tiny_model, monkeypatch):
  """a.png, b.png and m.sclcm in an empty folder, which is the current one."""
  monkeypatch.chdir(tmp_path)
  Image.fromarray(photo[:32, :48]).save("a.png")
  Image.fromarray(np.ascontiguousarray(photo[32:64, :48])).save("b.png")
  save_model(tiny_model, "m.sclcm")
  return tmp_path


@pytest.fixture
def sclc(album):
  """Runs a command with the small model."""
  return lambda *args, **options: run(*args, "--model", "m.sclcm", **options)
