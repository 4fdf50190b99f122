"""Examples by number, whatever the source, the process and the start."""

import io
import pathlib
import struct
import subprocess
import sys
import zlib

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax.files import write_whole
from sclc_jax.train import device_data
from sclc_jax.train.data import (
  Cache,
  decode_all,
  make_batches,
  open_folder,
  open_images,
)
from sclc_jax.train.tfds_images import open_tfds, write_tfds

_SHAPES = ((90, 130), (120, 70), (64, 64), (200, 150), (77, 141))
_KW = dict(crop_size=64, batch_size=4, seed=5)


def _png(image) -> bytes:
  file = io.BytesIO()
  Image.fromarray(image).save(file, "PNG")
  return file.getvalue()


def _take(batches, count):
  return [batch for batch, _ in zip(batches, range(count))]


def _index(index, *unused):
  return np.array(index)


@pytest.fixture(scope="module")
def images():
  photo = skimage.data.astronaut()
  return [photo[i : i + h, i : i + w] for i, (h, w) in enumerate(_SHAPES)]


@pytest.fixture(scope="module")
def sources(images, tmp_path_factory):
  root = tmp_path_factory.mktemp("sources")
  (root / "folder").mkdir()
  for i, image in enumerate(images):
    (root / "folder" / f"{i}.png").write_bytes(_png(image))
  write_tfds(map(_png, images), root / "set")
  return f"folder:{root}/folder", f"tfds:{root}/set"


@pytest.mark.parametrize("cache_mib", [0, 1000])
def test_folder_and_tfds_set_give_the_same_examples(sources, images, cache_mib):
  wanted = _take(make_batches(images, **_KW), 6)
  for source in sources:
    opened = open_images(source, 64, cache_mib)
    actual = _take(make_batches(opened, start_step=2, **_KW), 4)
    np.testing.assert_array_equal(actual, wanted[2:])


def test_every_epoch_shows_every_image_once_in_another_order(images):
  batches = make_batches(images, finish=_index, **_KW)
  epochs = np.reshape(_take(batches, 10), (8, 5))
  assert (np.sort(epochs, 1) == np.arange(5)).all()
  assert len({tuple(epoch) for epoch in epochs}) > 4


_READER = """
import sys
from sclc_jax.train.data import make_batches, open_images
source, process, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
images = open_images(source, 64, 0)
batches = make_batches(
  images, crop_size=64, batch_size=4, seed=0, start_step=start,
  examples=range(2 * process, 2 * process + 2))
for step in range(start, 6):
  print(*(int(x[0, 0, 0]) for x in next(batches)))
assert "tensorflow" not in sys.modules
"""


def test_two_processes_read_each_record_of_a_tfds_set_once_an_epoch(tmp_path):
  records = np.arange(12, dtype=np.uint8)
  flat = np.broadcast_to(records[:, None, None, None], (12, 70, 80, 3))
  write_tfds(map(_png, flat), tmp_path / "set")

  def start(process: int, step: int):
    command = [sys.executable, "-c", _READER, f"tfds:{tmp_path}/set"]
    return subprocess.Popen(
      [*command, str(process), str(step)], stdout=subprocess.PIPE, text=True
    )

  def read(step: int):
    readers = [start(process, step) for process in range(2)]
    outputs = [reader.communicate()[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    return np.array([o.split() for o in outputs], int).reshape(2, -1, 2)

  whole = read(0)
  epochs = whole.reshape(2, 2, 6)  # process, epoch, example
  for epoch in range(2):
    assert sorted(epochs[:, epoch].ravel()) == list(records)
  assert (epochs[:, 0] != epochs[:, 1]).any()
  np.testing.assert_array_equal(read(2), whole[:, 2:])  # in mid-epoch


def test_a_tfds_set_is_found_by_name_version_split_and_folder(tmp_path):
  folder = tmp_path / "tiny" / "1.0.0"
  write_tfds([_png(np.zeros((64, 64, 3), np.uint8))] * 4, folder)
  info = (folder / "dataset_info.json").read_text()
  info = info.replace('"name": "images"', '"name": "tiny"')
  (folder / "dataset_info.json").write_text(info)
  data = folder / "images-train.array_record-00000-of-00001"
  data.rename(folder / "tiny-train.array_record-00000-of-00001")
  assert len(open_tfds(f"tiny@{tmp_path}")) == 4
  assert len(open_tfds(f"tiny:1.0.0#train[:50%]@{tmp_path}")) == 2
  for wrong in ("tiny#test", "other"):
    with pytest.raises(ValueError, match="array_record"):
      open_tfds(f"{wrong}@{tmp_path}")


def test_images_smaller_than_the_crop_are_replaced_or_refused(images):
  small = [images[0][:63], *images[1:]]
  actual = np.ravel(_take(make_batches(small, finish=_index, **_KW), 10))
  counts = np.bincount(actual, minlength=5)
  assert list(counts) == [0, 16, 8, 8, 8]
  with pytest.raises(ValueError, match="damaged or smaller than 64"):
    next(make_batches([images[0][:63]] * 3, **_KW))


def test_a_damaged_record_is_named(tmp_path, images):
  write_tfds([_png(images[0])[:500]], tmp_path / "set")
  with pytest.raises(ValueError, match="record 0 of .*not an image"):
    next(make_batches(open_tfds(str(tmp_path / "set")), **_KW))


def _damaged_folder(tmp_path, images, whole):
  """Photographs of which all but some end early, the first in its header."""
  folder = tmp_path / "damaged"
  folder.mkdir()
  for i, image in enumerate(images):
    data = _png(image)
    end = None if i in whole else len(data) // 2 if i else 20
    (folder / f"{i}.png").write_bytes(data[:end])
  return open_images(f"folder:{folder}", 64, 0)


def test_damaged_photos_are_named_and_the_next_one_is_taken(
  tmp_path, images, capsys
):
  opened = _damaged_folder(tmp_path, images, whole=(1, 3))
  assert "/0.png" in capsys.readouterr().err  # its header shows it at once
  instead = np.array([1, 1, 3, 3, 1])
  wanted = np.ravel(_take(make_batches(images, finish=_index, **_KW), 10))
  for start in (0, 3):  # neither the start nor what was seen before matters
    batches = make_batches(opened, finish=_index, start_step=start, **_KW)
    actual = np.ravel(_take(batches, 10 - start))
    np.testing.assert_array_equal(
      actual, instead[wanted[len(wanted) * start // 10 :]]
    )
  named = capsys.readouterr().err
  assert named.count("the next one is taken instead") == 2
  assert "/2.png" in named and "/4.png" in named
  opened.tell()
  assert capsys.readouterr().err == ""  # all have been named


def test_three_damaged_photos_are_named_and_all_are_counted(
  tmp_path, images, capsys
):
  opened = _damaged_folder(tmp_path, images, whole=(1,))
  assert len(decode_all(opened)) == 5
  next(make_batches(opened, **_KW))
  opened.tell()
  text = capsys.readouterr().err
  assert text.count("the next one is taken instead") == 3
  assert "skipped 4 of 5 training images in all" in text


def test_a_set_of_damaged_photos_alone_is_refused(tmp_path, images):
  opened = _damaged_folder(tmp_path, images[1:] + images[:1], whole=())
  with pytest.raises(ValueError, match="5 images in a row are damaged or"):
    next(make_batches(opened, **_KW))
  (tmp_path / "damaged" / "0.png").write_bytes(b"")
  for path in (tmp_path / "damaged").glob("[1-4].png"):
    path.unlink()
  with pytest.raises(ValueError, match="none of the 1 images in .*0.png"):
    open_images(f"folder:{tmp_path / 'damaged'}", 64, 0)


def test_a_photo_beyond_the_limit_is_named(tmp_path):
  data = _png(np.zeros((64, 64, 3), np.uint8))
  size = struct.pack(">II", 10**5, 10**5)
  header = b"IHDR" + size + data[24:29]
  check = struct.pack(">I", zlib.crc32(header))
  (tmp_path / "a.png").write_bytes(data[:12] + header + check + data[33:])
  with pytest.raises(ValueError, match="a.png.*100000x100000"):
    open_folder(tmp_path, 64)[0]


def test_training_reads_what_the_codec_reads(tmp_path, images):
  gray16 = np.linspace(0, 65535, 128 * 128).astype(np.uint16).reshape(128, 128)
  Image.fromarray(gray16).save(tmp_path / "a.png")
  alpha = np.full(images[0].shape[:2], 255, np.uint8)
  alpha[:40, :40] = 0
  hidden = images[0].copy()
  hidden[:40, :40] = (255, 0, 255)
  Image.fromarray(np.dstack([hidden, alpha])).save(tmp_path / "b.tiff")
  exif = Image.Exif()
  exif[0x0112] = 6  # orientation: turn it right
  Image.fromarray(images[1]).save(tmp_path / "c.webp", lossless=True, exif=exif)
  Image.fromarray(images[2]).save(tmp_path / "d.bmp")
  deep, filled, turned, plain = open_images(f"folder:{tmp_path}", 64, 0)
  assert deep.shape == (128, 128, 3) and abs(deep.mean() - 127.5) < 0.5
  np.testing.assert_array_equal(filled[40:], images[0][40:])
  assert filled[:40, :40, 1].mean() > 20  # no pink, which nobody sees
  np.testing.assert_array_equal(turned, np.rot90(images[1], -1))
  np.testing.assert_array_equal(plain, images[2])


def test_cache_decodes_once_what_it_has_room_for():
  class Counted(list):
    reads = 0

    def __getitem__(self, index):
      self.reads += 1
      return super().__getitem__(index)

  source = Counted([np.full((512, 512, 4), i, np.uint8) for i in range(3)])
  cache = Cache(source, 2)
  for _ in range(4):
    assert [int(image[0, 0, 0]) for image in cache] == [0, 1, 2]
  assert source.reads == 2 + 4 + 4  # and 4 times the end of the list


@pytest.mark.parametrize("max_downscale", [1.0, 2.5])
def test_device_cuts_the_examples_that_the_host_cuts(images, max_downscale):
  kw = dict(_KW, max_downscale=max_downscale)
  window = device_data.largest_square(images, 64, max_downscale)
  packed = device_data.pack(decode_all(images))
  cut = jax.jit(lambda *args: device_data.cut_examples(*args, 64, window))
  rows = make_batches(
    device_data.shapes_of(images), finish=device_data.to_row, **kw
  )
  for wanted, row in _take(zip(make_batches(images, **kw), rows), 8):
    actual = np.asarray(cut(packed, row))
    assert actual.shape == wanted.shape and actual.dtype == np.uint8
    error = np.abs(actual.astype(int) - wanted)
    assert error.max() <= (0 if max_downscale == 1 else 1)
    assert (error > 0).mean() < 1e-3


def test_sources_in_a_bucket_give_the_same_examples(sources, images, bucket):
  wanted = _take(make_batches(images, **_KW), 4)
  for source in sources:
    kind, _, folder = source.partition(":")
    for path in pathlib.Path(folder).iterdir():
      write_whole(f"{bucket}/{kind}/{path.name}", path.read_bytes())
    opened = open_images(f"{kind}:{bucket}/{kind}", 64, 0)
    np.testing.assert_array_equal(_take(make_batches(opened, **_KW), 4), wanted)


def test_worker_processes_make_the_same_batches(sources, images):
  wanted = _take(make_batches(images, **_KW), 6)
  opened = open_images(sources[1], 64, 1)
  actual = _take(make_batches(opened, start_step=1, workers=2, **_KW), 5)
  np.testing.assert_array_equal(actual, wanted[1:])


def test_worker_processes_name_damaged_photos_too(tmp_path, images, capsys):
  alone = _damaged_folder(tmp_path, images, whole=(1,))
  wanted = _take(make_batches(alone, **_KW), 6)
  told = capsys.readouterr().err
  opened = open_images(f"folder:{tmp_path / 'damaged'}", 64, 0)
  batches = make_batches(opened, workers=2, **_KW)
  np.testing.assert_array_equal(_take(batches, 6), wanted)
  opened.tell()
  text = capsys.readouterr().err
  assert text.count("the next one is taken instead") == 3
  assert told.count("the next one is taken instead") == 3
  assert "skipped 4 of 5 training images in all" in text


def test_worker_processes_refuse_in_one_sentence(tmp_path, images):
  opened = _damaged_folder(tmp_path, images[1:] + images[:1], whole=())
  with pytest.raises(ValueError, match=r"^5 images in a row .* another set\."):
    next(make_batches(opened, workers=2, **_KW))
