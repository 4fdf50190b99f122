"""Figures in docs/results.md follow from the committed rows."""

import csv
import pathlib

import numpy as np
import pytest

from sclc_jax.evaluation.curves import read_anchors
from sclc_jax.metrics import bd_rate

ROOT = pathlib.Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
ANCHORS = {
  "JPEG": "jpeg",
  "WebP": "webp",
  "BPG 4:4:4": "bpg-444",
  "CompressAI bmshj2018-hyperprior, eight models":
    "compressai-bmshj2018-hyperprior",
  "the paper's SCR on Hyperprior": "scr/hyperprior/mse",
  "the paper's without selection": "scr_without_selection/hyperprior/mse",
}  # fmt: skip


def _kodak(name: str) -> tuple[np.ndarray, np.ndarray]:
  with (RESULTS / f"{name}.csv").open() as file:
    means = [row for row in csv.DictReader(file) if row["image"] == "MEAN"]
  return tuple(
    np.array([float(row[key]) for row in means]) for key in ("bpp", "psnr_db")
  )


@pytest.mark.parametrize("words", ANCHORS)
def test_bd_rates_against_published_curves_are_those_of_the_rows(words):
  published = {}
  for path in (RESULTS / "published").glob("*.csv"):
    published |= read_anchors(path)
  anchor = published[ANCHORS[words]].points("psnr_db")
  figure = bd_rate(*anchor, *_kodak("kodak_hyperprior_mse_conditional"))
  page = (ROOT / "docs" / "results.md").read_text()
  assert f"| {words} | {figure:+.1f} % |" in page


def test_the_table_of_the_default_model_is_that_of_the_rows():
  page = (ROOT / "docs" / "results.md").read_text()
  for bpp, psnr in zip(*_kodak("kodak_hyperprior_mse_conditional")):
    assert f"| {bpp:.3f} | {psnr:.2f} |" in page
