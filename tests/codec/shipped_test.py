import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.model.model_file import find_model, find_shipped
from sclc_jax.codec.model.shipped import (
  DEFAULT_MODEL,
  fast_path,
  read_card,
  shipped_models,
)
from sclc_jax.evaluation.complexity import parts
from sclc_jax.metrics import psnr_db

pytestmark = pytest.mark.usefixtures("compile_as_users_do")
NAMES = list(shipped_models())
FAST_NAMES = [
  name for name, path in shipped_models().items() if fast_path(path).is_file()
]


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete_and_of_this_file(name):
  path = shipped_models()[name]
  card = read_card(name)
  expected = {"use", "purpose", "curve", "hours", "parameters", "provenance"}
  assert expected < set(card)
  costs = parts(find_model(name))
  kmac = {p.name: p.conv_kmac + p.gdn_kmac for p in costs}
  both = ("hyper synthesis", "importance head", "context model")
  shared = sum(kmac.get(part, 0) for part in both)
  assert card["kmac_per_pixel"] == {
    "encode": pytest.approx(
      kmac["analysis"] + kmac["hyper analysis"] + shared, abs=0.06
    ),
    "decode": pytest.approx(kmac["synthesis"] + shared, abs=0.06),
  }
  levels, *measures = zip(*card["curve"]["rows"])
  assert list(levels) == sorted(set(levels))
  for values in measures:
    assert list(values) == sorted(values, key=lambda v: v or 0)
  model = find_model(name).config
  for run in card["provenance"]:
    # Of the release that trained it; some keys have gone since.
    assert run["config"]["model.init"] in ("wavelet", "xavier")
    assert sum(run["stages"].values()) > 0
  last = card["provenance"][-1]["config"]
  assert last.get("model.N", 192) == model.N
  assert last.get("model.M", 320) == model.M
  assert last.get("model.density", "normal") == model.density
  parent = card["provenance"][0].get("parent")
  assert parent is None or parent in NAMES
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
    actual, model = find_shipped(fingerprint)
    assert actual == name and model.fingerprint == fingerprint
  assert find_shipped(b"\0" * len(fingerprint)) is None


def test_models_are_listed_a_line_each_and_one_in_full(capsys):
  assert not cli.main(["models"])
  lines = capsys.readouterr().out.splitlines()
  names = [line.partition(":")[0].split()[0] for line in lines]
  assert names[0] == DEFAULT_MODEL and sorted(names) == sorted(NAMES)
  assert not cli.main(["models", "hyperprior-mse"])
  text = capsys.readouterr().out
  assert "level\tbpp\tpsnr_db\tms_ssim" in text
  assert "stages.quantization.steps=58000" in text
  assert not cli.main(["models", "cpu-medium", "--json"])
  facts = json.loads(capsys.readouterr().out)
  assert len(facts["provenance"]) == 12 and len(facts["curve"]["rows"]) == 8


@pytest.mark.parametrize("name", FAST_NAMES)
def test_a_fast_decoder_is_small_and_shows_nearly_the_same(name, photo):
  assert fast_path(shipped_models()[name]).stat().st_size <= 2_000_000
  full, fast = (load_codec(name, fast=value) for value in (False, True))
  for quality, most in ((1, 0.5), (8, 3)):
    data = full.compress(photo, quality)
    lost = psnr_db(photo, full.decompress(data)) - psnr_db(
      photo, fast.decompress(data)
    )
    assert lost < most
