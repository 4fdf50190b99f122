import csv
import json

import numpy as np
import pytest

from sclc_jax.evaluation import measure
from sclc_jax.evaluation.measure import Evaluation


def _row(image, quality, bpp, **more):
  row = dict.fromkeys(measure.COLUMNS, 1.0)
  return row | {"image": image, "quality": quality, "bpp": bpp, **more}


_ROWS = [
  _row("a", 8, 2.0, psnr_db=40.0),
  _row("a", 1, 0.5, psnr_db=30.0, ms_ssim=0.9, alpha_bytes=12),
  _row("b", 8, 4.0, psnr_db=44.0),
  _row("b", 1, 0.7, psnr_db=28.0, ms_ssim=0.8),
]


def test_means_are_of_each_quality_and_apart_from_the_rows():
  evaluation = Evaluation(_ROWS)
  assert [mean["quality"] for mean in evaluation.means] == [8, 1]
  assert [mean["quality"] for mean in evaluation.rising] == [1, 8]
  low = evaluation.rising[0]
  assert low["bpp"] == pytest.approx(0.6) and low["psnr_db"] == 29
  assert low["alpha_bytes"] == 6  # b has none
  assert evaluation.rows == _ROWS and "image" not in low
  np.testing.assert_allclose(evaluation.curve.bpp, [0.6, 3.0])


def test_a_table_ends_with_the_means_and_has_more_columns_where_asked(tmp_path):
  path = tmp_path / "rows.csv"
  rows = [row | {"ssimulacra2": 10.0 * row["bpp"]} for row in _ROWS]
  for scores in ((), ("ssimulacra2",)):
    Evaluation(rows, scores).write_csv(path)
    with open(path) as file:
      table = list(csv.DictReader(file))
    assert tuple(table[0]) == (*measure.COLUMNS, *scores)
    assert [r["image"] for r in table] == ["a", "a", "b", "b", "MEAN", "MEAN"]
  assert float(table[-1]["ssimulacra2"]) == pytest.approx(6)


def test_json_has_the_lists_that_compressai_reads_and_no_nan(tmp_path):
  path = tmp_path / "ours.json"
  rows = [row | {"ms_ssim": float("nan")} for row in _ROWS]
  Evaluation(_ROWS).write_json(path, "ours", "two images")
  content = json.loads(path.read_text())
  assert content["name"] == "ours" and content["description"] == "two images"
  results = content["results"]
  assert results["bpp"] == pytest.approx([0.6, 3.0])
  assert results["psnr-rgb"] == [29, 42]
  assert results["ms-ssim-rgb"] == pytest.approx([0.85, 1.0])
  assert len(results["encoding_time"]) == len(results["decoding_time"]) == 2
  Evaluation(rows).write_json(path, "ours", "")
  assert "ms-ssim-rgb" not in json.loads(path.read_text())["results"]


def test_parts_of_a_file_are_all_of_it(codec, photo):
  for image in (photo, np.dstack([photo, photo[..., :1]])):
    data = codec.compress(image, 3)
    sizes = measure.part_sizes(data)
    assert sum(sizes.values()) == len(data)
    assert ("alpha_bytes" in sizes) == (image.shape[2] == 4)


def test_names_are_of_the_folders_that_differ():
  flat = ["x/kodim01.png", "x/kodim02.png"]
  assert measure.image_names(flat) == ["kodim01.png", "kodim02.png"]
  nested = ["c/pro/1.png", "c/pro/deep/2.png", "c/mobile/1.png"]
  assert measure.image_names(nested) == (
    ["pro/1.png", "pro/deep/2.png", "mobile/1.png"]
  )
