import types

import numpy as np

from sclc_jax.evaluation import report
from sclc_jax.evaluation.measure import Evaluation


def _rows(bpp, image):
  return [
    {"image": image, "quality": 1 + i / 8, "bpp": b, "psnr_db": 30 + i,
     "selected_fraction": min(1.0, 0.5 + i / 4)}
    for i, b in enumerate(bpp)
  ]  # fmt: skip


def test_rising_steps_are_counted_for_means_and_single_images():
  rows = _rows([1, 3, 2, 4], "a") + _rows([1, 2, 5, 5], "b")[::-1]
  actual = report.rising_steps(Evaluation(rows))
  assert actual["bpp"] == (3, 3, 4, 6)
  # From 1.0 on a fraction cannot rise.
  assert actual["psnr_db"] == actual["selected_fraction"] == (3, 3, 6, 6)
  line = report.rising_line(Evaluation(rows))
  assert line.startswith("rises with quality: means yes, single images no")
  line = report.rising_line(Evaluation(_rows([1, 2, 3], "a")))
  assert line.startswith("rises with quality: means yes, single images yes")


def test_an_exponential_is_even_and_a_jump_is_not():
  bpp = np.exp(np.arange(9) / 8)
  assert abs(report.unevenness(Evaluation(_rows(bpp, "a"))) - 1) < 1e-9
  bpp[4:] *= np.exp(1 / 8)
  assert abs(report.unevenness(Evaluation(_rows(bpp, "a"))) - 2) < 1e-9


def _system(selective, factor):
  config = types.SimpleNamespace(selective=selective)
  codec = types.SimpleNamespace(model=types.SimpleNamespace(config=config))
  rows = _rows(factor * np.arange(1, 5), "a")
  return report.System("", codec, Evaluation(rows))


def test_selection_saves_what_the_model_without_it_needs_more():
  with_, without = _system(True, 0.9), _system(False, 1.0)
  assert abs(report.selection_saves(with_, without) + 10) < 1e-6
  assert abs(report.selection_saves(without, with_) + 10) < 1e-6
  assert report.selection_saves(with_, _system(True, 1.0)) is None
