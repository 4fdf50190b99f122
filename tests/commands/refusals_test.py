"""What needs no model is refused before JAX, or even NumPy, is loaded."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from sclc_jax import cli

_ARGUMENTS = {
  "compress no.png": "no.png",
  "compress nothing": "nothing",
  "compress *.webp": "*.webp",
  "compress a.png": "--force",
  "compress a.png -o a.png --force": "is the input",
  "compress a.png -o no/such.sclc": "no/such.sclc",
  "compress a.png -o gs://bucket/a.sclc": "-o gs://bucket/a.sclc: there are no",
  "compress s3://bucket/a.png": "input s3://bucket/a.png: only files",
  "compress gs:///a.png": "names no bucket",
  "compress a.png --model hyperprior-mse.fast": "no model",
  "compress a.png --quality 0.5": "[1, 8]",
  "compress a.png --quality 9": "[1, 8]",
  "compress a.png --quality nan": "[1, 8]",
  "compress a.png --target-bpp 0": "--target-bpp must be positive, got 0",
  "compress a.png --target-psnr nan": "--target-psnr",
  "compress a.png --target-ssimulacra2 101": "at most 100, got 101",
  "compress a.png --target-ssimulacra2 nan": "at most 100, got nan",
  "compress a.png --target-bytes 0": "--target-bytes must be positive",
  "compress a.png --effort 65": "[0, 64]",
  "compress a.png --threads 0": "--threads",
  "compress a.png --max-pixels 0": "--max-pixels",
  "compress a.png --model nope": "'nope'",
  "compress a.png --model no.sclcm": "no.sclcm",
  "compress a.png --quality-map no.png": "no.png",
  "compress a.png --quality-map a.png --target-bpp 1": "--quality-map",
  "compress a.png --quality-map a.png --quality-map-min 5":
    "--quality-map-min",
  "decompress no.sclc": "no.sclc",
  "compress a.png b.png -o one.sclc": "one.sclc",
  "decompress a.sclc -o x.heic": ".heic",
  "info no.sclc": "no.sclc",
  "info nothing": "nothing",
  "inspect no.png": "no.png",
  "inspect a.png -o a.sclc": "a.sclc is a file",
  "evaluate --images no": "--images no",
  "evaluate --images nothing": "nothing",
  "evaluate --images . --quality 9": "[1, 8]",
  "evaluate --images . --csv no/r.csv": "no/r.csv",
  "evaluate --images . --anchors no.csv": "no.csv",
  "evaluate --images . --report a.sclc": "a.sclc is a file",
  "demo --out a.sclc": "a.sclc is a file",
  "demo --out gs://bucket/x": "gs://bucket/x",
  "plan --config no.py": "no.py",
  "plan --config c.py --topology v5e-16": "v5e:4x4",
  "plan --config c.py --slices 2": "--slices 2",
  "plan --config c.py --stage fast": "--stage fast",
  "train --config no.py --workdir w": "no.py",
  "train --config c.py --workdir gs://bucket/w": "gcloud auth",
  "train --config c.py --workdir az://bucket/w": "--workdir az://bucket/w",
  "train --config c.py --workdir a.sclc": "a.sclc",
  "train --config c.py --workdir a.sclc/w": "a.sclc",
  "train --config c.py --workdir w --config.data.source=folder:gs://b/x":
    "gs://b/x",
  "train --config c.py --workdir w --config.data.source=tfds:a:1.0.0@s3://b/x":
    "data.source s3://b/x",
  "train --config c.py --workdir w --config.data.source=folder:no": "no",
  "train --config c.py --workdir w --config.model.base=x": "'x'",
  "train --config c.py --workdir w --config.seed=x": "seed",
  "train --config c.py --workdir w --process 0": "--coordinator",
  "train --config c.py --workdir w --profile 5": "such as 100:110",
  "train --config c.py --workdir w --profile x:9": "such as 100:110",
  "train --config c.py --workdir w --profile 9:9": "--profile 9:9 has 0 steps",
  "train --config c.py --workdir w --profile 1:9999": "has 9998 steps",
  "export --workdir w -o no/m.sclcm": "no/m.sclcm",
  "export --workdir w -o m.sclcm --fit-tables no": "--fit-tables no",
  "sweep no.py --workdir w --images .": "no.py",
}  # fmt: skip
_SCRIPT = """
import contextlib, io, json, sys
from sclc_jax import cli
given, refusals = json.load(sys.stdin), []
for line in given:
  error = io.StringIO()
  with contextlib.redirect_stderr(error):
    code = cli.main(line.split())
  loaded = [name for name in ("jax", "numpy") if name in sys.modules]
  refusals.append((line, code, error.getvalue(), loaded))
print(json.dumps(refusals))
"""
_CONFIG = """
from sclc_jax.config import default_config_dict
get_config = default_config_dict
"""


@pytest.fixture(autouse=True)
def without_credentials(tmp_path, monkeypatch):
  """As on a machine that has none of Google's."""
  for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
  monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.parametrize("line", [
  "compress a.png --target-ssimulacra2 70", "evaluate --images . --perceptual",
])  # fmt: skip
def test_a_missing_package_is_named_with_its_remedy(
  album, monkeypatch, capsys, line
):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  assert cli.main(line.split()) == 1
  error = capsys.readouterr().err
  assert error.count("\n") == 1 and "; pip install ssimulacra2." in error


def test_they_are_one_line_and_load_and_change_nothing(album):
  (album / "nothing").mkdir()
  (album / "a.sclc").write_bytes(b"there already")
  (album / "c.py").write_text(_CONFIG)
  before = sorted(album.rglob("*"))
  done = subprocess.run(
    [sys.executable, "-B", "-c", _SCRIPT],
    input=json.dumps(list(_ARGUMENTS)), capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  for line, code, error, loaded in json.loads(done.stdout):
    command = line.split()[0]
    assert (line, code, loaded) == (line, 1, [])
    assert error.startswith(f"sclc {command}: error: "), line
    assert error.count("\n") == 1 and _ARGUMENTS[line] in error, error
  assert sorted(album.rglob("*")) == before


@pytest.mark.parametrize(
  "args",
  [
    ("compress", "a.png", "-o", "x.sclc"),
    ("train", "--config", "c.py", "--workdir", "w",
     "--config.data.source=folder:."),
  ],
)  # fmt: skip
def test_a_device_that_is_not_there_is_one_line_and_makes_nothing(album, args):
  (album / "c.py").write_text(_CONFIG)
  before = sorted(os.listdir())
  done = subprocess.run(
    [sys.executable, "-B", "-m", "sclc_jax", *args, "--device", "tpu"],
    capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 1 and done.stdout == ""
  assert len(done.stderr.splitlines()) == 1
  assert "there is no tpu here" in done.stderr and "cpu" in done.stderr
  assert sorted(os.listdir()) == before
