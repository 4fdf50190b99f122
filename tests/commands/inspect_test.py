import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.model.model_file import save_model
from sclc_jax.evaluation import peers, plots


@pytest.fixture
def folder(tmp_path, tiny_model, monkeypatch):
  monkeypatch.chdir(tmp_path)
  save_model(tiny_model, "m.sclcm")
  monkeypatch.setattr(peers, "PEERS", (peers.JPEG,))
  return tmp_path


def test_pictures_of_a_gray_photo_are_written_and_named(folder, capsys, photo):
  Image.fromarray(photo[:70, :130, 1]).save("p.png")
  assert cli.main(["inspect", "p.png", "--model", "m.sclcm"]) == 0
  names = ["pictures", "importance", "masks", "bits", "crops", "rd"]
  lines = capsys.readouterr().out.split()
  assert lines == [f"p_inspect/{name}.png" for name in names]
  for line in lines:
    pixels = np.asarray(Image.open(folder / line).convert("L"))
    assert min(pixels.shape) > 200 and pixels.std() > 5


def test_a_file_in_place_of_the_folder_is_refused(folder, capsys, photo):
  Image.fromarray(photo).save("p.png")
  args = ["inspect", "p.png", "--model", "m.sclcm", "-o", "m.sclcm"]
  assert cli.main(args) == 1
  assert "m.sclcm is a file" in capsys.readouterr().err


def test_crops_lie_in_the_photo_and_follow_the_bits():
  bits = np.zeros((8, 12))
  bits[5, 9] = 100
  places = plots.crop_places(bits, (120, 190), 48)
  assert len(set(places)) == len(places) >= 2
  for row, column in places:
    assert 0 <= row <= 120 - 48 and 0 <= column <= 190 - 48
  row, column = places[0]
  assert row <= 80 < row + 48 and column <= 144 < column + 48
  assert plots.crop_places(np.ones((1, 1)), (5, 9), 5) == [(0, 0)]
