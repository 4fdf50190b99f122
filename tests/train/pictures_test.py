"""What TensorBoard shows of a run beside curves."""

import numpy as np
import pytest
import skimage.data

from sclc_jax.config import ModelConfig, from_dict
from sclc_jax.metrics import psnr_db
from sclc_jax.models.variable_rate import init_params
from sclc_jax.train.logs import TrainingLog
from sclc_jax.train.pictures import Pictures, middle_crops

_PHOTO = skimage.data.astronaut()


def test_crops_are_the_middles_of_the_first_images_that_are_large_enough():
  small, gray = _PHOTO[:63], _PHOTO[:150, :200, 0]
  empty = np.zeros((0, 0, 3), np.uint8)
  others = (image for image in (_PHOTO, _PHOTO))
  crops = middle_crops([small, gray, empty, *others, None])
  assert crops.shape == (3, 128, 128, 3)
  np.testing.assert_array_equal(crops[0, ..., 1], gray[11:139, 36:164])
  np.testing.assert_array_equal(crops[2], _PHOTO[192:320, 192:320])
  assert middle_crops([_PHOTO]).shape == (1, 256, 256, 3)
  assert middle_crops([small]) is None
  assert Pictures(lambda: [small]).views(ModelConfig(), {}) == []


@pytest.mark.parametrize("parts", ["all", "base"])
def test_views_are_of_three_levels_with_masks_by_a_selector(parts):
  chosen = parts == "all"
  config = ModelConfig(
    N=4, M=6, levels=5, init="wavelet", table_init="geometric",
    adaptive=chosen, selective=chosen, importance_bias=0.2,
  )  # fmt: skip
  pictures = Pictures(lambda: [_PHOTO[:128, 100:228], _PHOTO[:140]])
  views = pictures.views(config, init_params(config, 0))
  assert [view.level for view in views] == ([1, 3, 5] if chosen else [5])
  original = np.concatenate(list(pictures.crops), 1)
  for view in views:
    assert view.reconstruction.shape == original.shape
    assert view.reconstruction.dtype == np.uint8
    assert (view.mask is not None) == chosen
    if chosen:
      assert view.mask.shape == original.shape[:2]
      shares = np.unique(view.mask) / 255 * 6  # of M = 6 elements
      np.testing.assert_allclose(shares, np.round(shares), atol=0.02)
  assert psnr_db(original, views[-1].reconstruction) > 12


class _Board:
  """Keeps what it is given; `SummaryWriter` for tests."""

  def __init__(self):
    self.images, self.scalars = [], []

  def add_image(self, tag, image, step, dataformats):
    assert image.dtype == np.uint8 and image.ndim == len(dataformats)
    self.images.append((tag, step))

  def add_scalar(self, tag, value, step):
    self.scalars.append((tag, value, step))

  def flush(self):
    pass


def test_a_log_shows_crops_once_then_what_became_of_them_and_rd(tmp_path):
  config = from_dict({"stages": {"base": {"steps": 1}}})
  log = TrainingLog(tmp_path, config, 0, validates=True)
  log.close()
  log._board = board = _Board()
  model = ModelConfig(N=4, M=6, levels=3, importance_bias=0.2)
  pictures = Pictures(lambda: [_PHOTO[:64, :64]])
  views = pictures.views(model, init_params(model, 0))
  for step in (2, 4):
    log.write_pictures(step, pictures.crops, views)
  kinds = ("crops", "masks")
  levels = [f"{kind}/level_{k}" for k in (1, 2, 3) for kind in kinds]
  assert board.images == [("crops/original", 2)] + [
    (tag, step) for step in (2, 4) for tag in levels
  ]
  row = {"step": 4, "stage": "base", "bytes": 9.0, "score": 1.0}
  log.write_validation(
    [row | {"quality": q, "bpp": q / 8, "psnr_db": 30.0 + q} for q in (1, 8)]
  )
  assert board.images[-1] == ("validation/rd", 4)
  assert ("validation_8/psnr_db", 38.0, 4) in board.scalars
  log.write({"step": 5, "skipped": 1, "bpp_1": None, "loss": float("nan")})
  assert board.scalars[-1] == ("skipped", 1, 5)
