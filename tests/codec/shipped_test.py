import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.model.model_file import find_shipped, shipped_models
from sclc_jax.metrics import psnr_db

pytestmark = pytest.mark.usefixtures("compile_as_users_do")
NAMES = list(shipped_models())


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete_and_of_this_file(name):
  path = shipped_models()[name]
  card = json.loads(path.with_suffix(".json").read_text())
  expected = {"data", "config", "steps", "hours", "parameters", "kodak_rd"}
  assert expected < set(card)
  assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_a_photo_comes_back_without_naming_the_model(
  name, tmp_path, photo, capsys
):
  image, coded = tmp_path / "a.png", tmp_path / "a.sclc"
  Image.fromarray(photo).save(image)
  sizes, psnr = [], []
  for quality in (1, 4.5, 8):
    options = ["--quality", str(quality), "--force", "-o", str(coded)]
    assert not cli.main(["compress", str(image), "--model", name, *options])
    back = tmp_path / f"{quality}.png"
    assert not cli.main(["decompress", str(coded), "-o", str(back)])
    sizes.append(coded.stat().st_size)
    psnr.append(psnr_db(photo, np.asarray(Image.open(back))))
  assert sizes == sorted(set(sizes)) and psnr == sorted(set(psnr))
  capsys.readouterr()
  assert not cli.main(["info", str(coded), "--json"])
  assert json.loads(capsys.readouterr().out)["model_name"] == name


def test_a_fingerprint_finds_its_model():
  for name in NAMES:
    fingerprint = load_codec(name).model.fingerprint
    found, model = find_shipped(fingerprint)
    assert found == name and model.fingerprint == fingerprint
  assert find_shipped(b"\0" * len(fingerprint)) is None
