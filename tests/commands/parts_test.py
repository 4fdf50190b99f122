"""`sclc decompress` of a region, and of a preview."""

import io
import shutil

import numpy as np
import pytest
from cli_runs import run
from PIL import Image

from sclc_jax.codec.model.model_file import read_model
from sclc_jax.codec.model.preview_file import preview_path


@pytest.fixture
def coded(sclc) -> bytes:
  """a.sclc of 48x32 pixels, and a.png of what it decodes to."""
  assert sclc("compress", "a.png").code == 0
  assert sclc("decompress", "a.sclc", "--force").code == 0
  with open("a.sclc", "rb") as file:
    return file.read()


def _picture(data: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(data)))


def test_a_region_is_written_alone(sclc, coded):
  out = sclc("decompress", "-", "--region", "5,7,20,10", stdin=coded).out
  whole = np.asarray(Image.open("a.png"))
  np.testing.assert_array_equal(_picture(out), whole[7:17, 5:25])


@pytest.mark.parametrize(
  ("region", "code"),
  [("0,0,49,1", 1), ("0,32,1,1", 1), ("0,0,0,1", 1), ("1,2,3", 2), ("a", 2)],
)
def test_a_region_that_is_none_gets_one_line(sclc, coded, region, code):
  done = sclc("decompress", "a.sclc", "-o", "part.png", "--region", region)
  assert done.code == code and len(done.errors) == 1
  assert region in done.errors[0]


def test_previews_come_from_what_export_fitted(sclc, coded, album):
  refused = sclc("decompress", "-", "--preview", "8", stdin=coded)
  assert refused.code == 1 and "--fit-preview" in refused.errors[0]
  (album / "photos").mkdir()
  shutil.copy("b.png", "photos")
  before = (album / "m.sclcm").read_bytes()
  fitted = sclc("export", "-o", "n.sclcm", "--fit-preview", "photos")
  assert fitted.code == 0
  assert preview_path("n.sclcm").exists()
  assert read_model("n.sclcm").fingerprint == read_model("m.sclcm").fingerprint
  assert (album / "m.sclcm").read_bytes() == before
  args = ("decompress", "-", "--model", "n.sclcm", "--preview")
  for scale, shape in ((8, (4, 6, 3)), (4, (8, 12, 3)), (2, (16, 24, 3))):
    assert _picture(run(*args, scale, stdin=coded).out).shape == shape
  assert run(*args, 3, stdin=coded).code == 2


def test_a_preview_and_a_region_exclude_each_other(sclc, coded):
  flags = ("--preview", "8", "--region", "0,0,1,1")
  assert sclc("decompress", "a.sclc", *flags).code == 2
