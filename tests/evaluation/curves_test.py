import numpy as np
import pytest

from sclc_jax.evaluation import curves
from sclc_jax.evaluation.curves import Curve

_BPP = np.array([0.2, 0.5, 1.0, 1.6])
_CURVE = Curve(_BPP, np.array([28.0, 31, 34, 37]), 1 - 0.1 / (1 + 9 * _BPP))


def test_ten_percent_more_bits_are_ten_percent_in_every_metric():
  other = Curve(1.1 * _BPP, _CURVE.psnr_db, _CURVE.ms_ssim)
  for metric in curves.METRICS:
    assert abs(curves.bd_rate(_CURVE, other, metric) - 10) < 1e-6
    assert abs(curves.bd_rate(other, _CURVE, metric) + 100 / 11) < 1e-6


def test_curves_that_do_not_meet_have_no_bd_rate():
  other = Curve(_BPP, _CURVE.psnr_db + 50, _CURVE.ms_ssim)
  assert np.isnan(curves.bd_rate(_CURVE, other, "psnr_db"))
  assert curves.shared_range(_CURVE, other, "psnr_db") == 0
  half = Curve(_BPP, _CURVE.psnr_db + 4.5, _CURVE.ms_ssim)
  assert curves.shared_range(_CURVE, half, "psnr_db") == pytest.approx(0.5)


def test_value_at_a_rate_is_the_point_there_and_nan_outside():
  at = np.array([0.1, *_BPP, 2.0])
  found = curves.value_at(_CURVE, at, "psnr_db")
  np.testing.assert_allclose(found[1:-1], _CURVE.psnr_db)
  assert np.isnan(found[[0, -1]]).all()


def test_anchors_keep_each_metric_that_they_have(tmp_path):
  path = tmp_path / "a.csv"
  rows = ["codec,bpp,psnr_db,ms_ssim"]
  rows += [f"both,{b},{30 + b},{0.9 + b / 30}" for b in (1, 2, 0.5)]
  rows += [f"psnr,{b},{30 + b}," for b in (1, 2, 3)]
  rows += [f"ssim,{b},,{0.9 + b / 100}" for b in (1, 2, 3)]
  rows += ["short,1,30,0.9"]
  path.write_text("\n".join(rows))
  found = curves.read_anchors(path)
  assert list(found) == ["both", "psnr", "ssim"]
  np.testing.assert_array_equal(found["both"].bpp, [0.5, 1, 2])
  assert found["psnr"].points("ms_ssim_db") is None
  assert found["ssim"].points("psnr_db") is None
  assert found["ssim"].points("ms_ssim_db")[1][0] == pytest.approx(
    -10 * np.log10(0.09)
  )


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "bpp,psnr_db\nx,y\n"])
def test_other_tables_are_refused_by_name(tmp_path, text):
  path = tmp_path / "table.csv"
  path.write_text(text)
  with pytest.raises(ValueError, match="table.csv"):
    curves.read_anchors(path)
