"""What the coding commands say of each file, and which files they leave."""

import os
import pathlib
import re
import shutil

import numpy as np
import pytest
from cli_runs import run
from PIL import Image

from sclc_jax.codec.codec import Codec
from sclc_jax.commands.coding import _size
from sclc_jax.metrics import psnr_db, visible_psnr_db


def test_the_line_of_a_file_has_size_share_rate_and_time(sclc, album):
  done = sclc("compress", "a.png", "-v")
  line = re.fullmatch(
    r"a\.sclc\t(\d+) bytes, ([\d.]+)% of the input, ([\d.]+) bpp, "
    r"([\d.]+) dB, [\d.]+ s\n",
    done.out.decode(),
  )
  size = os.path.getsize("a.sclc")
  share, bpp, psnr = (float(line[i]) for i in (2, 3, 4))
  assert int(line[1]) == size
  assert share == pytest.approx(100 * size / os.path.getsize("a.png"), abs=0.1)
  assert bpp == pytest.approx(8 * size / (32 * 48), abs=1e-3)
  image = np.asarray(Image.open("a.png"))
  assert sclc("decompress", "a.sclc", "-o", "back.png").code == 0
  back = np.asarray(Image.open("back.png"))
  assert psnr == pytest.approx(psnr_db(image, back), abs=0.01)


def test_quiet_prints_nothing(sclc):
  done = sclc("compress", "a.png", "b.png", "-o", "out", "--quiet")
  assert done == (0, b"", "")
  done = sclc("decompress", "out/a.sclc", "-o", "out/a.png", "--quiet")
  assert done == (0, b"", "")


def test_an_interrupted_album_goes_on_where_it_was(sclc):
  assert sclc("compress", "a.png", "-o", "out/").code == 0
  before = os.stat("out/a.sclc").st_mtime_ns
  done = sclc("compress", "a.png", "b.png", "-o", "out/", "--skip-existing")
  assert done.code == 0 and "; 1 skipped" in done.err
  assert sorted(os.listdir("out")) == ["a.sclc", "b.sclc"]
  assert os.stat("out/a.sclc").st_mtime_ns == before
  again = sclc("compress", "a.png", "b.png", "-o", "out/", "--skip-existing")
  assert again.code == 0 and again.out == b""
  assert "2 skipped, as their outputs exist" in again.err


@pytest.mark.parametrize(
  ("text", "size"),
  [
    ("60000", 60_000), ("60k", 60_000), ("60kB", 60_000), ("1.5M", 1_500_000),
    ("2Ki", 2048), ("1MiB", 2**20), ("60 k", 60_000),
  ],
)  # fmt: skip
def test_sizes_may_have_units(text, size):
  assert _size(text) == size


@pytest.mark.parametrize("text", ["3q", "k", "", "1kk", "1k5"])
def test_other_sizes_are_refused_on_one_line(sclc, text):
  done = sclc("compress", "a.png", f"--max-bytes={text}")
  assert done.code == 2 and len(done.err.splitlines()) == 1
  assert f"invalid size in bytes value: {text!r}" in done.err


def test_files_of_a_model_in_the_own_folder_decode_by_themselves(
  album, monkeypatch, tiny_model, photo
):
  (album / "models").mkdir()
  shutil.move("m.sclcm", "models/mine.sclcm")
  pathlib.Path("models/broken.sclcm").write_bytes(b"nothing")
  pathlib.Path("a.sclc").write_bytes(Codec(tiny_model).compress(photo, 3))
  refused = run("decompress", "a.sclc", "-o", "c.png")
  assert refused.code == 1 and "SCLC_MODELS" in refused.err
  monkeypatch.setenv("SCLC_MODELS", "models")
  assert run("decompress", "a.sclc", "-o", "c.png").code == 0
  assert run("compress", "b.png", "--model", "mine").code == 0
  (album / "models" / "broken.sclcm").unlink()
  lines = run("models").out.decode().splitlines()
  assert lines[0].startswith("hyperprior-mse-conditional (default): ")
  assert lines[-1].startswith("mine: your own; ")


def test_colours_that_nobody_sees_do_not_count_in_a_psnr():
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (8, 8, 4)).astype(np.uint8)
  image[:4, :, 3], image[4:, :, 3] = 0, 255
  other = image.copy()
  other[:4, :, :3] ^= 255
  other[4:, :, :3] ^= 1
  seen = image[4:, :, :3]
  assert visible_psnr_db(image, other) == psnr_db(seen, seen ^ 1)
