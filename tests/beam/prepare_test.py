"""Sets that `sclc data` makes, by Beam's local runner."""

import csv
import hashlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax import buckets, cli
from sclc_jax.beam.prepare import is_gray, is_held_out, key_of
from sclc_jax.files import read_whole, write_whole
from sclc_jax.images import load_rgb, png_bytes
from sclc_jax.train.data import make_batches, open_images
from sclc_jax.train.tfds_images import open_tfds

_LOCAL = ("--threads", 1, "--quiet")


def _run(*args):
  cpus = os.sched_getaffinity(0)
  try:
    return cli.main([str(arg) for arg in args])
  finally:
    os.sched_setaffinity(0, cpus)  # --threads has set it


def _write(path, image, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image).save(path, **options)


def _tell(path):
  with path.open(newline="") as file:
    return {row["name"]: row["reason"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def parts():
  """uint8 [72, 80, 3] pieces of a photograph, all different."""
  photo = skimage.data.astronaut()
  return [photo[i : i + 72, 2 * i : 2 * i + 80] for i in range(0, 216, 8)]


@pytest.fixture(scope="module")
def album(parts, tmp_path_factory):
  """Pictures that are taken, and one of each kind that is not."""
  folder = tmp_path_factory.mktemp("album")
  for i, part in enumerate(parts):
    _write(folder / f"{i:02}.png", part)
  _write(folder / "again" / "00.webp", parts[0], lossless=True)
  _write(folder / "small.png", parts[0][:63])
  _write(folder / "gray.jpg", parts[0][..., 0])
  data = (folder / "01.png").read_bytes()
  (folder / "damaged.png").write_bytes(data[: len(data) // 2])
  (folder / "notes.txt").write_text("no picture")
  return folder


@pytest.fixture(scope="module")
def made(album):
  """The set of the album, a third of it held out."""
  target = album.parent / "sets" / "made"
  args = "--min-side", 64, "--held-out", 0.3
  assert _run("data", album, "-o", target, *args, *_LOCAL) == 0
  return target


def test_every_picture_is_trained_on_held_out_or_listed(made, album, parts):
  summary = json.loads((made / "summary.json").read_text())
  listed = _tell(made / "left_out.csv")
  kinds = {"small.png": "small", "gray.jpg": "gray", "damaged.png": "damaged",
           "again/00.webp": "duplicate"}  # fmt: skip
  assert listed == {str(album / name): kinds[name] for name in kinds}
  assert summary["left_out"] == dict.fromkeys(sorted(listed.values()), 1)
  images = open_tfds(str(made))
  held_out = sorted((made / "held_out").iterdir())
  assert len(images) == summary["pictures"] > 0
  assert len(held_out) == summary["held_out"] > 0
  keys = {key_of(image) for image in images}
  kept_apart = {key_of(load_rgb(path)) for path in held_out}
  assert not keys & kept_apart
  assert keys | kept_apart == {key_of(part) for part in parts}


def test_pixels_alone_decide_what_is_held_out(made, parts):
  held_out = {key_of(load_rgb(path)) for path in (made / "held_out").iterdir()}
  for part in parts:
    shape = repr(part.shape).encode()
    digest = hashlib.sha256(shape + part.tobytes()).digest()
    value = int.from_bytes(digest[:8], "big") / 2**64
    assert (digest.hex() in held_out) == (value < 0.3)
  rng = np.random.default_rng(0)
  keys = [rng.bytes(32).hex() for _ in range(4000)]
  assert np.mean([is_held_out(key, 0.05) for key in keys]) == pytest.approx(
    0.05, abs=0.015
  )


def test_training_reads_the_set_by_its_folder_alone(made):
  kw = dict(crop_size=64, batch_size=2, seed=0)
  alone, named = (
    next(make_batches(open_images(source, 64, 0), **kw))
    for source in (str(made), f"tfds:{made}")
  )
  np.testing.assert_array_equal(alone, named)


def test_files_are_stored_as_they_are_with_size_and_name(made):
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(str(made))
  records = builder.as_data_source(
    split="train", decoders={"image": tfds.decode.SkipDecoding()}
  )
  for record in records:
    path = pathlib.Path(record["name"].decode())
    assert record["image"] == path.read_bytes()
    with Image.open(io.BytesIO(record["image"])) as image:
      assert image.size == (record["width"], record["height"])


@pytest.mark.parametrize("threads", [1, 2])
def test_order_of_sources_and_processes_do_not_matter(made, album, threads):
  target = album.parent / f"again-{threads}"
  sources = album / "again", album / "[01]*.png", album
  args = "--min-side", 64, "--held-out", 0.3, "--threads", threads, "--quiet"
  assert _run("data", *sources, "-o", target, *args) == 0
  # What is named twice is a duplicate of itself, and the set stays the same.
  names = [path.name for path in made.glob("*array_record*")]
  assert names
  for name in names:
    assert (target / name).read_bytes() == (made / name).read_bytes()


def test_large_pictures_are_scaled_down_once(tmp_path):
  photo = skimage.data.astronaut()
  _write(tmp_path / "in" / "a.jpg", photo, quality=95)
  _write(tmp_path / "in" / "b.png", photo[:300])
  args = "--min-side", 64, "--shorter-side", 96, "--held-out", 0
  args = tmp_path / "in", "-o", tmp_path / "set", *args, *_LOCAL
  assert _run("data", *args) == 0
  images = sorted(open_tfds(str(tmp_path / "set")), key=lambda x: x.shape[1])
  assert [image.shape for image in images] == [(96, 96, 3), (96, 164, 3)]
  size = 164, 96
  wanted = Image.fromarray(photo[:300]).resize(size, Image.Resampling.LANCZOS)
  np.testing.assert_array_equal(images[1], np.asarray(wanted))
  assert not (tmp_path / "set" / "scaled").exists()


def test_gray_means_equal_channels_but_for_rounding(parts):
  gray = np.repeat(parts[0][..., :1], 3, -1)
  assert is_gray(gray) and is_gray(np.maximum(gray, 2) - [0, 1, 2])
  assert not is_gray(parts[0])
  gray[70, 79, 0] ^= 128  # a single coloured pixel
  assert not is_gray(gray)


@pytest.mark.parametrize(
  ("options", "text"),
  [
    (["--min-side", 600], "no picture is left to train on (left out: "),
    (["--min-side", 0], "--min-side must be at least 1, got 0"),
    (["--shorter-side", 32], "--shorter-side must be at least --min-side 256"),
    (["--held-out", 1], "--held-out must lie in [0, 1), got 1"),
    (["--runner", "NoRunner"], "--runner NoRunner cannot be used"),
  ],
)
def test_a_refused_set_leaves_nothing_behind(
  made, album, capsys, options, text
):
  before = sorted(made.parent.iterdir())
  args = album, "-o", made.parent / "no", *_LOCAL, *options
  assert _run("data", *args) == 1
  error = capsys.readouterr().err
  assert text in error and error.count("\n") == 1
  assert sorted(made.parent.iterdir()) == before


def test_a_full_disk_ends_in_one_sentence_and_no_set(
  album, capsys, monkeypatch, tmp_path
):
  from sclc_jax.beam import prepare

  monkeypatch.setattr(prepare, "write_whole", _full_disk)
  args = album, "-o", tmp_path / "no", "--min-side", 64, *_LOCAL
  assert _run("data", *args) == 1
  error = capsys.readouterr().err
  assert "cannot write" in error and error.count("\n") == 1
  assert list(tmp_path.iterdir()) == []


def _full_disk(path, *unused, **others):
  raise ValueError(f"cannot write {path}: no space; name another output.")


def test_a_set_in_a_bucket_is_that_of_this_machine(bucket, parts, tmp_path):
  for folder in (tmp_path / "in", f"{bucket}/in"):
    for i, part in enumerate(parts[:6]):
      write_whole(f"{folder}/{i}.png", png_bytes(part), make_folder=True)
    write_whole(f"{folder}/small.png", png_bytes(parts[0][:20]))
  args = "--min-side", 64, "--shorter-side", 66, "--held-out", 0.3, *_LOCAL
  remote, local = f"{bucket}/sets/set", tmp_path / "set"
  assert _run("data", f"{bucket}/in", "-o", remote, *args) == 0
  assert _run("data", tmp_path / "in", "-o", local, *args) == 0
  names = {n.removeprefix(remote) for n in buckets.find(remote)}
  ours = [path for path in local.rglob("*") if path.is_file()]
  assert names == {f"/{path.relative_to(local).as_posix()}" for path in ours}
  for path in ours:
    if path.suffix == ".webp" or path.name == "features.json":
      data = read_whole(f"{remote}/{path.relative_to(local)}")
      assert data == path.read_bytes()
  # The shards have the names of the sources in them.
  (shard,) = (path.name for path in ours if "array_record" in path.name)
  (tmp_path / "copy").mkdir()
  for name in (shard, "features.json", "dataset_info.json"):
    (tmp_path / "copy" / name).write_bytes(read_whole(f"{remote}/{name}"))
  both = zip(*(open_tfds(str(tmp_path / n)) for n in ("set", "copy")))
  assert all((one == other).all() for one, other in both)
  assert _run("data", f"{bucket}/in", "-o", remote, *args) == 1


def test_ctrl_c_ends_the_processes_and_leaves_nothing_behind(tmp_path):
  os.mkfifo(tmp_path / "pipe.png")
  command = (sys.executable, "-m", "sclc_jax", "data", "pipe.png", "-o", "set",
             "--threads", "2")  # fmt: skip
  root = pathlib.Path(cli.__file__).parents[1]
  process = subprocess.Popen(
    command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)},
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    start_new_session=True,
  )  # fmt: skip
  with (tmp_path / "pipe.png").open("wb"):  # a process has begun to read it
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
  assert (process.returncode, out) == (130, "")
  assert error == "sclc data: interrupted\n"
  assert [path.name for path in tmp_path.iterdir()] == ["pipe.png"]
