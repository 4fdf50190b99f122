import json

import numpy as np
import pytest

from sclc_jax.evaluation import curves
from sclc_jax.evaluation.curves import Curve

_BPP = np.array([0.2, 0.5, 1.0, 1.6])
_VALUES = {
  "psnr_db": np.array([28.0, 31, 34, 37]),
  "ms_ssim": 1 - 0.1 / (1 + 9 * _BPP),
  "ssimulacra2": np.array([-8.0, 40, 62, 75]),
}
_CURVE = Curve(_BPP, _VALUES)


def _shifted(decibels):
  return Curve(_BPP, {"psnr_db": _VALUES["psnr_db"] + decibels})


def test_ten_percent_more_bits_are_ten_percent_in_every_metric():
  other = Curve(1.1 * _BPP, _VALUES)
  for metric in curves.METRICS:
    assert abs(curves.bd_rate(_CURVE, other, metric) - 10) < 1e-6
    assert abs(curves.bd_rate(other, _CURVE, metric) + 100 / 11) < 1e-6


def test_curves_that_do_not_meet_have_no_bd_rate():
  other = _shifted(50)
  assert np.isnan(curves.bd_rate(_CURVE, other, "psnr_db"))
  assert curves.shared_range(_CURVE, other, "psnr_db") == 0
  half = _shifted(4.5)
  assert curves.shared_range(_CURVE, half, "psnr_db") == pytest.approx(0.5)


def test_value_at_a_rate_is_the_point_there_and_nan_outside():
  at = np.array([0.1, *_BPP, 2.0])
  actual = curves.value_at(_CURVE, at, "psnr_db")
  np.testing.assert_allclose(actual[1:-1], _VALUES["psnr_db"])
  assert np.isnan(actual[[0, -1]]).all()


def test_anchors_keep_each_metric_that_they_have(tmp_path):
  path = tmp_path / "a.csv"
  rows = ["codec,bpp,psnr_db,ms_ssim"]
  rows += [f"both,{b},{30 + b},{0.9 + b / 30}" for b in (1, 2, 0.5)]
  rows += [f"psnr,{b},{30 + b}," for b in (1, 2, 3)]
  rows += [f"ssim,{b},,{0.9 + b / 100}" for b in (1, 2, 3)]
  rows += ["short,1,30,0.9"]
  path.write_text("\n".join(rows))
  actual = curves.read_anchors(path)
  assert list(actual) == ["both", "psnr", "ssim"]
  np.testing.assert_array_equal(actual["both"].bpp, [0.5, 1, 2])
  assert actual["psnr"].points("ms_ssim_db") is None
  assert actual["ssim"].points("psnr_db") is None
  assert actual["ssim"].points("ms_ssim_db")[1][0] == pytest.approx(
    -10 * np.log10(0.09)
  )


def test_anchors_may_hold_ssimulacra2_and_may_lack_it(tmp_path):
  path = tmp_path / "a.csv"
  rows = ["codec,bpp,psnr_db,ssimulacra2"]
  rows += [f"with,{b},{30 + b},{20 * b - 30}" for b in (1, 2, 3)]
  rows += [f"without,{b},{30 + b}," for b in (1, 2, 3)]
  path.write_text("\n".join(rows))
  curves_ = curves.read_anchors(path)
  np.testing.assert_array_equal(
    curves_["with"].points("ssimulacra2")[1], [-10, 10, 30]
  )
  assert curves_["without"].points("ssimulacra2") is None


def test_files_of_compressai_are_anchors(tmp_path):
  path = tmp_path / "bmshj2018.json"
  results = {"bpp": [0.5, 0.1, 1.0], "psnr-rgb": [33.0, 28.0, 36.0],
             "encoding_time": [1, 1, 1]}  # fmt: skip
  content = {"name": "bmshj", "description": "", "results": results}
  path.write_text(json.dumps(content))
  (curve,) = curves.read_anchors(path).values()
  bpp, psnr = curve.points("psnr_db")
  np.testing.assert_array_equal(bpp, [0.1, 0.5, 1.0])
  np.testing.assert_array_equal(psnr, [28, 33, 36])
  assert curve.points("ms_ssim_db") is None
  for broken in ("[]", "{}", "x", '{"bpp": 1}', '{"bpp": [1], "psnr-rgb": []}'):
    path.write_text(broken)
    with pytest.raises(ValueError, match="bmshj2018.json"):
      curves.read_anchors(path)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "bpp,psnr_db\nx,y\n"])
def test_other_tables_are_refused_by_name(tmp_path, text):
  path = tmp_path / "table.csv"
  path.write_text(text)
  with pytest.raises(ValueError, match="table.csv"):
    curves.read_anchors(path)
