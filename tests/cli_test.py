import csv
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sclc_jax import cli
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.fast_file import save_fast
from sclc_jax.codec.model.model_file import read_model, save_model
from sclc_jax.models.variable_rate import init_params


@pytest.fixture
def folder(tmp_path, photo, tiny_model, monkeypatch):
  monkeypatch.chdir(tmp_path)
  Image.fromarray(photo).save("a.png")
  Image.fromarray(photo[:50, :70]).save("b.png")
  save_model(tiny_model, "m.sclcm")
  return tmp_path


def _run(*args):
  return cli.main([str(a) for a in args])


def _error(capsys) -> str:
  lines = capsys.readouterr().err.strip().splitlines()
  assert len(lines) == 1 and lines[0].startswith("sclc ")
  assert ": error: " in lines[0]
  return lines[0]


@pytest.mark.parametrize(
  "words", ["train --config none.py --workdir w", "sweep none.py --list"]
)
def test_training_commands_keep_what_they_compile(tmp_path, words):
  env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
  env |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
  code = "import os, sys; from sclc_jax.cli import main; main(sys.argv[1:]); "
  code += "print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
  command = [sys.executable, "-c", code, *words.split()]
  done = subprocess.run(command, capture_output=True, text=True, env=env)
  assert done.stdout.startswith(str(tmp_path / "cache" / "sclc_jax"))


def test_photo_to_file_to_photo(folder, capsys):
  assert _run("compress", "a.png", "b.png", "--model", "m.sclcm") == 0
  assert _run("decompress", "a.sclc", "-o", "x.png", "--model", "m.sclcm") == 0
  assert Image.open("x.png").size == Image.open("a.png").size
  capsys.readouterr()
  assert _run("info", "b.sclc", "--json", "--model", "m.sclcm") == 0
  info = json.loads(capsys.readouterr().out)
  assert (info["width"], info["height"], info["quality"]) == (70, 50, 4.0)
  assert 0 < info["selected_fraction"] < 1


def test_existing_outputs_are_kept_unless_forced(folder, capsys):
  _run("compress", "a.png", "--model", "m.sclcm")
  capsys.readouterr()
  before = open("a.png", "rb").read()
  assert _run("decompress", "a.sclc", "--model", "m.sclcm") == 1
  assert "--force" in _error(capsys)
  assert open("a.png", "rb").read() == before
  assert _run("decompress", "a.sclc", "--model", "m.sclcm", "--force") == 0


def test_a_bad_input_does_not_stop_the_others(folder, capsys):
  (folder / "bad.png").write_bytes(b"not an image")
  assert _run("compress", "bad.png", "b.png", "--model", "m.sclcm") == 1
  error, summary = capsys.readouterr().err.splitlines()
  assert error.startswith("sclc compress: error: bad.png")
  assert "1 file, " in summary and "1 failed" in summary
  assert (folder / "b.sclc").exists() and not (folder / "bad.sclc").exists()


def test_globs_and_folders_are_walked_in_order(folder, capsys, photo):
  (folder / "sub").mkdir()
  for name in ("sub/d.png", "sub/c.png"):
    Image.fromarray(photo[:9, :9]).save(name)
  args = ("compress", "[ab].png", "sub", "-o", "out", "--model", "m.sclcm")
  assert _run(*args) == 0
  actual = capsys.readouterr()
  names = [line.split("\t")[0] for line in actual.out.splitlines()]
  assert names == [f"out/{name}.sclc" for name in "abcd"]
  lines = actual.err.splitlines()
  assert len(lines) == 1 and "4 files" in lines[0] and "MP/s" in lines[0]
  assert _run("decompress", "out/*.sclc", "-o", "back", "--quiet",
              "--model", "m.sclcm") == 0  # fmt: skip
  assert not capsys.readouterr().err
  assert len(list((folder / "back").glob("*.png"))) == 4
  assert _run("compress", "no*.png") == 1 and "no*.png" in _error(capsys)


def test_what_a_folder_gives_goes_to_a_folder_even_if_it_is_one_file(
  folder, capsys, photo
):
  (folder / "album").mkdir()
  Image.fromarray(photo).save("album/a.png")
  assert _run("compress", "album", "-o", "small", "--model", "m.sclcm") == 0
  assert _run("compress", "b.p?g", "-o", "small", "--model", "m.sclcm") == 0
  assert _run("compress", "b.png", "-o", "new/", "--model", "m.sclcm") == 0
  actual = sorted(str(p) for p in folder.rglob("*.sclc"))
  names = ["new/b.sclc", "small/a.sclc", "small/b.sclc"]
  assert actual == [str(folder / name) for name in names]
  capsys.readouterr()
  assert _run("compress", "album", "-o", "m.sclcm", "--model", "m.sclcm") == 1
  assert "is a file" in _error(capsys)
  assert (folder / "m.sclcm").stat().st_size > 1000


@pytest.mark.parametrize(
  "args, words",
  [
    (("compress", "none.png"), "none.png"),
    (("compress", "empty.png"), "empty"),
    (("compress", "cut.png"), "cut.png"),
    (("compress", "nothing"), "nothing"),
    (("compress", "a.png", "--quality", "0.5"), "[1, 8]"),
    (("compress", "a.png", "--quality", "nan"), "[1, 8]"),
    (("compress", "a.png", "--effort", "65"), "[0, 64]"),
    (("compress", "a.png", "--effort", "1"), "sclc export --workdir"),
    (("compress", "float.tiff"), "floating-point"),
    (("compress", "a.png", "--max-pixels", "99"), "99"),
    (("inspect", "a.png", "--max-pixels", "99"), "a.png: it has"),
    (("evaluate", "--images=alpha", "--max-pixels", "9", "--quiet"), "it has"),
    (("compress", "a.png", "--quality-map", "none.png"), "none.png"),
    (("evaluate", "--images", "alpha", "--quiet"), "flatten"),
    (("compress", "a.png", "-o", "no/such/folder.sclc"), "cannot write"),
    (("decompress", "png.sclc"), "PNG"),
    (("decompress", "empty.sclc"), "empty"),
    (("decompress", "other.sclc"), "--model"),
    (("info", "a.png"), "PNG"),
    (("evaluate", "--images", "nothing"), "nothing"),
    (("evaluate", "--images", ".", "--csv", "no/such.csv"), "no/such.csv"),
    (("evaluate", "--images", ".", "--anchors", "a.png"), "a.png"),
  ],
)
def test_bad_input_gives_one_clear_line(
  folder, capsys, photo, tiny_model, args, words
):
  other_model = dataclasses.replace(tiny_model, fingerprint=b"123456")
  (folder / "empty.png").write_bytes(b"")
  (folder / "empty.sclc").write_bytes(b"")
  whole = (folder / "a.png").read_bytes()
  (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
  (folder / "png.sclc").write_bytes(whole)
  (folder / "nothing").mkdir()
  (folder / "alpha").mkdir()
  Image.fromarray(np.zeros((9, 9, 4), np.uint8)).save("alpha/alpha.png")
  Image.fromarray(np.zeros((9, 9), np.float32)).save("float.tiff")
  (folder / "other.sclc").write_bytes(Codec(other_model).compress(photo, 2))
  before = sorted(folder.rglob("*"))
  assert _run(*args, "--model", "m.sclcm") == 1
  assert words in _error(capsys)
  assert sorted(folder.rglob("*")) == before


def test_unknown_model_is_named(folder, capsys):
  assert _run("compress", "a.png", "--model", "nope") == 1
  assert "'nope'" in _error(capsys)


def test_what_is_converted_is_said_aloud(folder, capsys, photo):
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 65536, (9, 9), np.uint16)).save("deep.png")
  frames = [Image.fromarray(photo[i:, :60]) for i in (0, 1)]
  frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
  for name, words in (("deep.png", "16 bits"), ("moving.gif", "2 pictures")):
    assert _run("compress", name, "--model", "m.sclcm") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0] and name in lines[0]


def test_alpha_and_metadata_come_back(folder, capsys, photo):
  alpha = np.arange(photo[..., 0].size).reshape(photo.shape[:2]) % 251
  image = Image.fromarray(np.dstack([photo, alpha.astype(np.uint8)]))
  exif = image.getexif()
  exif[0x0112], exif[0x010F] = 6, "maker"  # orientation: turn it right
  exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
  xmp = PngImagePlugin.PngInfo()
  xmp.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
  image.save("t.png", exif=exif, icc_profile=b"profile" * 9, pnginfo=xmp)
  plain, kept = ("t.png", "-o", "1.sclc"), ("t.png", "-o", "2.sclc")
  assert _run("compress", *plain, "--model", "m.sclcm") == 0
  assert _run("compress", *kept, "--keep-metadata", "--model", "m.sclcm") == 0
  for i in (1, 2):
    assert _run("decompress", f"{i}.sclc", "--model", "m.sclcm") == 0
    back = Image.open(f"{i}.png")
    assert back.mode == "RGBA" and back.size == photo.shape[:2]
    np.testing.assert_array_equal(np.asarray(back)[..., 3], np.rot90(alpha, -1))
  assert back.info["icc_profile"] == b"profile" * 9
  assert back.info["xmp"] == b"<x:xmpmeta/>"
  assert back.getexif().get(0x0112, 1) == 1 and back.getexif()[0x010F]
  assert back.getexif().get_ifd(0x8769)[0x9003] == "2020:02:03 04:05:06"
  assert not Image.open("1.png").info.get("icc_profile")
  capsys.readouterr()
  assert _run("info", "2.sclc", "--json", "--model", "m.sclcm") == 0
  info = json.loads(capsys.readouterr().out)
  kinds = ("alpha", "icc", "exif", "xmp")
  assert min(info[f"{kind}_bytes"] for kind in kinds) > 0


def test_quality_map_moves_the_quality(folder, capsys, photo):
  half = np.zeros((2, 4), np.uint8)
  half[:, :2] = 255
  Image.fromarray(half).save("map.png")
  common = ("--model", "m.sclcm", "--quality", 8)
  args = ("--quality-map", "map.png", "--quality-map-min", 2)
  assert _run("compress", "a.png", *common, *args) == 0
  assert _run("compress", "a.png", *common, "-o", "flat.sclc") == 0
  assert _run("info", "a.sclc", "--json", "--model", "m.sclcm") == 0
  info = json.loads(capsys.readouterr().out.splitlines()[-1])
  assert info["quality"] == 8 and info["quality_map_bytes"] < 12
  assert info["bytes"] < (folder / "flat.sclc").stat().st_size
  assert _run("decompress", "a.sclc", "-o", "x.png", "--model", "m.sclcm") == 0
  assert _run("compress", "b.png", *common, *args[:3], 9) == 1
  assert "--quality-map-min" in _error(capsys)


_CONFIG = """
from sclc_jax.config import default_config_dict
def get_config():
  config = default_config_dict()
  config.model.N, config.model.M = 4, 6
  config.data.source, config.data.crop_size = "folder:.", 64
  config.data.batch_size = 2
  {}
  return config
"""


@pytest.mark.parametrize(
  "line, override, words",
  [
    ("", "--config.model.M_=3", "model.M_"),
    ("config.model.M_ = 3", "--seed=1", "M_"),
    ("return dict(", "", "SyntaxError"),
    ("", "--config.model.base=foo", "'foo'"),
    ("", "--config.data.source=folder:nothing", "nothing"),
    ("", "--config.data.crop_size=65", "multiple of 64"),
  ],
)
def test_bad_config_is_named_and_starts_nothing(
  folder, capsys, line, override, words
):
  (folder / "c.py").write_text(_CONFIG.format(line))
  args = ["train", "--config", "c.py", "--workdir", "w"]
  assert _run(*args, *([override] if override else [])) == 1
  assert words in _error(capsys)
  assert not (folder / "w").exists()


@pytest.mark.parametrize("flags", [("--processes", 2), ("--process", 0)])
def test_processes_without_a_cluster_do_not_train_alone(folder, capsys, flags):
  (folder / "c.py").write_text(_CONFIG.format("pass"))
  args = ("train", "--config", "c.py", "--workdir", "w", "--quiet")
  assert _run(*args, *flags) == 1
  assert "--coordinator HOST:PORT" in _error(capsys)
  assert not (folder / "w").exists()


def test_workdir_of_another_config_is_refused_and_kept(folder, capsys):
  (folder / "c.py").write_text(_CONFIG.format("pass"))
  args = ("train", "--config", "c.py", "--workdir", "w", "--quiet")
  assert _run(*args) == 0
  capsys.readouterr()
  before = sorted((p, p.stat().st_size) for p in folder.rglob("*"))
  assert _run(*args, "--config.seed=1") == 1
  assert "another config" in _error(capsys)
  assert sorted((p, p.stat().st_size) for p in folder.rglob("*")) == before


def test_evaluate_writes_one_row_an_image_and_quality(folder, capsys):
  args = ("evaluate", "--images", ".", "--quality", 1, 4.5, "--csv", "r.csv")
  assert _run(*args, "--model", "m.sclcm", "--quiet") == 0
  with open("r.csv") as file:
    rows = list(csv.DictReader(file))
  assert [r["image"] for r in rows] == ["a.png"] * 2 + ["b.png"] * 2 + (
    ["MEAN"] * 2
  )
  assert float(rows[0]["bytes"]) < float(rows[1]["bytes"])


def test_evaluate_tells_images_of_one_name_apart(folder, capsys, photo):
  for name in ("set/x", "set/y/z"):
    (folder / name).mkdir(parents=True)
    Image.fromarray(photo[:50, :70]).save(f"{name}/a.png")
  args = ("evaluate", "--images", "set", "--quality", 1, 4.5, "--csv", "r.csv")
  assert _run(*args, "--model", "m.sclcm", "--quiet") == 0
  with open("r.csv") as file:
    names = [r["image"] for r in csv.DictReader(file)]
  assert names == ["x/a.png"] * 2 + ["y/z/a.png"] * 2 + ["MEAN"] * 2
  assert "(single images 2/2)" in capsys.readouterr().out


def test_flags_that_would_do_nothing_are_not_offered(folder, capsys):
  with pytest.raises(SystemExit):
    _run("demo", "--max-pixels", 99)
  assert "--max-pixels" in capsys.readouterr().err


def test_version_names_what_matters(capsys):
  assert cli.main(["--version"]) == 0
  assert "jax " in capsys.readouterr().out


def test_fast_needs_a_fast_decoder_and_then_shows_its_picture(folder, capsys):
  assert _run("compress", "b.png", "--model", "m.sclcm") == 0
  capsys.readouterr()
  command = "decompress", "b.sclc", "--model", "m.sclcm", "--fast", "-o"
  assert _run(*command, "x.png") == 1
  assert "there is no m.fast.sclcm. Leave --fast out" in _error(capsys)
  model = read_model("m.sclcm")
  config = dataclasses.replace(model.config, fast=True)
  fast = init_params(config, 0)["fast_synthesis"]
  save_fast(dataclasses.replace(model, fast=fast), "m.fast.sclcm")
  assert _run(*command, "x.png") == 0
  assert _run("decompress", "b.sclc", "--model", "m.sclcm", "-o", "y.png") == 0
  x, y = (np.asarray(Image.open(name)) for name in ("x.png", "y.png"))
  assert x.shape == y.shape and (x != y).any()
