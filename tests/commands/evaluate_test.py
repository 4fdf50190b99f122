import csv
import json
import re

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax import cli
from sclc_jax.codec.model.model_file import save_model
from sclc_jax.commands import evaluate
from sclc_jax.evaluation import peers


@pytest.fixture
def folder(tmp_path, tiny_model, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "images").mkdir()
  image = skimage.data.astronaut()[:161, 100:292]
  Image.fromarray(image).save("images/photo.png")
  save_model(tiny_model, "m.sclcm")
  save_model(tiny_model, "n.sclcm")
  return tmp_path


def _evaluate(*args):
  args = ("evaluate", "--images", "images", "--model", "m.sclcm", *args)
  return cli.main([*args, "--quiet"])


def test_report_holds_curves_tables_and_pictures(folder, capsys, monkeypatch):
  few = [p for p in peers.PEERS if p.kind in ("JPEG", "WEBP")]
  missing = peers.Peer("fish (here)", "FISH", (1,), {}, remedy="catch one")
  monkeypatch.setattr(peers, "PEERS", (*few, missing))
  anchor = ["codec,bpp,psnr_db,ms_ssim"]
  anchor += [f"old,{b},{20 + 5 * b},{0.5 + b / 10}" for b in (0.2, 1, 3)]
  (folder / "anchors.csv").write_text("\n".join(anchor))
  args = ("--quality", "1:8:3.5", "6", "--compare", "n.sclcm",
          "--perceptual", "--anchors", "anchors.csv", "--json", "ours.json",
          "--report", "out")  # fmt: skip
  assert _evaluate(*args) == 0
  output = capsys.readouterr().out
  assert "fish (here) is left out, as it is not installed (catch one)" in output
  for key in ("bd_rate_percent", "bd_rate_ssimulacra2_percent"):
    assert f"{key}\t+0.00\tn\n" in output
  assert "bd_rate_ssimulacra2_percent\t+" in output
  assert not re.search("bd_rate_ssimulacra2_percent.*old", output)
  assert "rises with quality" in output
  text = (folder / "out" / "report.md").read_text()
  for words in ("| 4.5 |", "| old |", "dB over webp", "fish (here)",
                "SSIMULACRA2", "<details>", "| photo.png |", "| header | z |",
                "| hyper synthesis |"):  # fmt: skip
    assert words in text
  assert str(folder) not in text
  command = "sclc evaluate --model m --images IMAGES --quality 1 4.5 8 6 "
  assert command in text and "--compare n --perceptual --report out\n" in text
  for name in ("rd_psnr_db", "rd_ms_ssim_db", "rd_ssimulacra2", "continuous",
               "masks"):
    assert f"]({name}.png)" in text
    assert Image.open(folder / "out" / f"{name}.png").size[0] > 300
  with open(folder / "out" / "rows_m.csv") as file:
    means = [r for r in csv.DictReader(file) if r["image"] == "MEAN"]
  assert [float(r["quality"]) for r in means] == [1, 4.5, 8, 6]
  assert list(means[0])[-1] == "ssimulacra2"
  results = json.loads((folder / "ours.json").read_text())["results"]
  rising = sorted(means, key=lambda row: float(row["quality"]))
  for key in ("bpp", "ssimulacra2"):
    assert results[key] == [float(row[key]) for row in rising]
  with open(folder / "out" / "bd_rate_psnr_db.csv") as file:
    matrix = list(csv.DictReader(file))
  assert [row["curve"] for row in matrix] == list(matrix[0])[1:]
  # Of a against b and of b against a: one takes what the other saves.
  a = np.array([[float(v) for v in list(r.values())[1:]] for r in matrix])
  product = (1 + a / 100) * (1 + a.T / 100)
  np.testing.assert_allclose(product[np.isfinite(a)], 1, atol=1e-3)


@pytest.mark.parametrize(
  "flags, text",
  [
    ("", ""),
    ("--quality 1:8", ""),
    ("--quality 4.5", " --quality 4.5"),
    ("--quality 1:8:0.125", " --quality 1:8:0.125"),
    ("--quality 8 6 4", " --quality 8 6 4"),
  ],
)
def test_the_command_of_a_report_names_its_qualities_and_folders(
  folder, monkeypatch, flags, text
):
  monkeypatch.chdir("images")
  line = f"evaluate --images . --report ../out {flags}"
  args = cli._parser().parse_args(line.split())
  assert evaluate._command(args, ["m"]) == (
    f"sclc evaluate --model m --images IMAGES{text} --report out"
  )


@pytest.mark.parametrize("text", ["8:1", "1:8:0", "a", "1:2:3:4", "1:8:1e-9"])
def test_a_range_that_is_none_is_wrong_usage(folder, capsys, text):
  with pytest.raises(SystemExit) as caught:
    _evaluate("--quality", text)
  assert caught.value.code == 2
  assert text in capsys.readouterr().err


def test_a_report_in_place_of_a_file_is_refused(folder, capsys):
  assert _evaluate("--report", "m.sclcm") == 1
  assert "m.sclcm is a file" in capsys.readouterr().err
