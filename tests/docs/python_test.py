"""docs/python.md does what it says."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image

import sclc_jax
from sclc_jax.codec.model.model_file import save_model
from sclc_jax.export.preview_fit import fit_preview

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "python.md"

pytestmark = pytest.mark.usefixtures("compile_anew")


def test_every_snippet_runs_in_order(tmp_path, monkeypatch, photo, tiny_model):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "photos").mkdir()
  for path in ("photo.png", "photos/photo.png"):
    Image.fromarray(photo).save(path)
  save_model(fit_preview(tiny_model, [photo]), "tiny.sclcm")
  load_codec = sclc_jax.load_codec
  monkeypatch.setattr(
    sclc_jax, "load_codec", lambda path="tiny.sclcm": load_codec(path)
  )
  page = PAGE.read_text()
  snippets = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
  assert len(snippets) == page.count("```python") > 7
  names = {}
  for snippet in snippets:
    exec(compile(snippet, PAGE.name, "exec"), names)
  np.testing.assert_array_equal(names["image"], photo)
  assert [picture.shape for picture in names["pictures"]] == [
    photo.shape,
    photo[:64, :96].shape,
  ]
  assert names["codec"].model.config.M == 6
  assert len((tmp_path / "rows.csv").read_text().splitlines()) == 5
