"""Pictures compressed and evaluated in a pipeline of Beam."""

import csv

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from sclc_jax import cli
from sclc_jax.beam.transforms import (
  CompressPictures,
  EvaluatePictures,
  find_pictures,
  write_rows,
)
from sclc_jax.codec import codec as codec_module
from sclc_jax.codec.model.model_file import save_model


@pytest.fixture(scope="module")
def photos(photo, tiny_model, tmp_path_factory):
  """Three pictures, one file that is none, and a model beside them."""
  folder = tmp_path_factory.mktemp("beam")
  (folder / "in" / "below").mkdir(parents=True)
  for name, image in (
    ("a.png", photo[:32, :48]),
    ("b.png", photo[32:64, :48]),
    ("below/gray.png", photo[:40, :56, 0]),
  ):
    Image.fromarray(np.ascontiguousarray(image)).save(folder / "in" / name)
  (folder / "in" / "no.jpg").write_bytes(b"no picture")
  save_model(tiny_model, folder / "m.sclcm")
  return folder


def _run(*args):
  return cli.main([str(arg) for arg in args])


def _pipeline():
  return beam.Pipeline("FnApiRunner")


def test_files_are_those_of_sclc_compress(photos, capsys, monkeypatch):
  loads = []
  load = codec_module.load_codec
  monkeypatch.setattr(
    codec_module, "load_codec", lambda *a, **k: loads.append(a) or load(*a, **k)
  )
  with _pipeline() as pipeline:
    pictures = pipeline | beam.Create(find_pictures(photos / "in"))
    files = pictures | CompressPictures(
      str(photos / "beam"), 2.5, str(photos / "m.sclcm")
    )
    failed = files.failed | beam.Map(lambda failure: failure[0])
    assert_that(failed, equal_to([str(photos / "in" / "no.jpg")]))
  args = "--quality", 2.5, "--model", photos / "m.sclcm", "--quiet"
  assert _run("compress", photos / "in", "-o", photos / "command", *args) == 1
  assert "no.jpg" in capsys.readouterr().err
  assert len(loads) == 2  # one for the pipeline, one for the command
  names = [p.relative_to(photos / "command")
           for p in (photos / "command").rglob("*.sclc")]  # fmt: skip
  assert len(names) == 3
  for name in names:
    ours, theirs = (photos / f / name for f in ("beam", "command"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_rows_are_those_of_sclc_evaluate(photos):
  with _pipeline() as pipeline:
    pictures = pipeline | beam.Create(find_pictures(photos / "in"))
    rows = pictures | EvaluatePictures([1, 2.5], str(photos / "m.sclcm"))
    _ = (
      rows.rows
      | beam.combiners.ToList()
      | beam.Map(write_rows, str(photos / "beam.csv"))
    )
    assert_that(rows.failed | beam.combiners.Count.Globally(), equal_to([1]))
  args = "--quality", 1, 2.5, "--model", photos / "m.sclcm"
  args = *args, "--csv", photos / "command.csv"
  assert _run("evaluate", "--images", photos / "in", *args) == 1

  def read(name):
    with (photos / name).open() as file:
      rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k[-2:] != "_s"} for row in rows]

  assert read("beam.csv") == read("command.csv")
  assert len(read("beam.csv")) == 3 * 2 + 2
