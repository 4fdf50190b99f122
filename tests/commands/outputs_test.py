"""Where outputs go: plain files, links, pipes, devices; and never an input."""

import io
import os
import threading
import tty

import numpy as np
import pytest
from PIL import Image

from sclc_jax.codec.codec import Codec
from sclc_jax.formats import WRITTEN

_LOSSLESS = WRITTEN - {".jpg", ".jpeg", ".jpe", ".jfif", ".avif", ".pgm"}


@pytest.fixture
def coded(album, tiny_model):
  """The bytes of a.sclc, as `sclc compress a.png` should write them."""
  return Codec(tiny_model).compress(np.asarray(Image.open("a.png")), 4)


def _read_all(descriptor, into):
  with open(descriptor, "rb") as file:
    into.append(file.read())


def test_a_pipe_is_written_through_and_stays(sclc, coded):
  os.mkfifo("pipe")
  got = []
  reader = threading.Thread(target=_read_all, args=("pipe", got))
  reader.start()
  assert sclc("compress", "a.png", "-o", "pipe").code == 0
  reader.join(60)
  assert got == [coded]
  assert os.path.exists("pipe") and not os.path.isfile("pipe")


def test_a_device_is_written_through_and_stays(sclc, coded):
  ours, theirs = os.openpty()
  tty.setraw(theirs)
  name = os.ttyname(theirs)
  assert sclc("compress", "a.png", "-o", name).code == 0
  os.set_blocking(ours, False)
  assert os.read(ours, 10**6).startswith(coded[:64])
  assert not os.path.isfile(name)


def test_a_descriptor_is_written_through_from_where_it_is(sclc, coded, album):
  with open("log", "wb") as file:
    file.write(b"before")
    file.flush()
    done = sclc("compress", "a.png", "-o", f"/dev/fd/{file.fileno()}")
  assert done.code == 0
  assert (album / "log").read_bytes() == b"before" + coded


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_stdout_by_name_gets_the_file_and_nothing_else(
  album, coded, name, capfdbinary
):
  from sclc_jax import cli

  args = ["compress", "a.png", "-o", name, "--model", "m.sclcm"]
  assert cli.main(args) == 0
  assert capfdbinary.readouterr().out == coded


@pytest.mark.parametrize("before", [b"old", None])
def test_a_link_stays_and_its_target_is_replaced(sclc, coded, album, before):
  (album / "far").mkdir()
  if before is not None:
    (album / "far" / "real.sclc").write_bytes(before)
  os.symlink("far/real.sclc", "link.sclc")
  assert sclc("compress", "a.png", "-o", "link.sclc").code == 0
  assert os.readlink("link.sclc") == "far/real.sclc"
  assert (album / "far" / "real.sclc").read_bytes() == coded
  assert sorted(os.listdir("far")) == ["real.sclc"]


@pytest.mark.parametrize(
  "name", ["a.png", "./a.png", "x/../a.png", "soft.png", "hard.png", "m.sclcm"]
)
@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_an_output_that_is_an_input_by_any_name_is_refused(
  sclc, album, name, command
):
  (album / "x").mkdir()
  os.symlink("a.png", "soft.png")
  os.link("a.png", "hard.png")
  before = {p: p.read_bytes() for p in album.iterdir() if p.is_file()}
  done = sclc(command, "a.png", "-o", name, "--force")
  assert done.code == 1 and len(done.err.splitlines()) == 1
  assert "is the input" in done.err
  assert before == {p: p.read_bytes() for p in album.iterdir() if p.is_file()}


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_the_second_input_of_one_output_name_is_refused(sclc, album, force):
  for name in "xy":
    (album / name).mkdir()
    os.link(f"{'ab'['xy'.index(name)]}.png", f"{name}/a.png")
  done = sclc("compress", "x", "y", "-o", "out", *force)
  assert done.code == 1 and len(done.errors) == 1
  assert "x/a.png" in done.errors[0] and "y/a.png" in done.errors[0]
  one = sclc("compress", "a.png", "-o", "-").out
  assert (album / "out" / "a.sclc").read_bytes() == one


def test_folders_keep_their_subfolders_both_ways(sclc, album, photo):
  (album / "in" / "sub" / "deep").mkdir(parents=True)
  names = ["a.png", "sub/a.png", "sub/deep/a.png"]
  for name in names:
    os.link("a.png", f"in/{name}")
  assert sclc("compress", "in", "-o", "out").code == 0
  assert sclc("decompress", "out", "-o", "back").code == 0
  for folder, suffix in (("out", ".sclc"), ("back", ".png")):
    root = album / folder
    below = (p.relative_to(root) for p in root.rglob("*.*"))
    assert sorted(map(str, below)) == [n.replace(".png", suffix) for n in names]


@pytest.mark.parametrize(
  "args",
  [
    ("compress", "a.png", "b.png", "-o", "one.sclc"),
    ("compress", "[ab].png", "-o", "one.sclc"),
    ("compress", ".", "-o", "one.sclc"),
    ("decompress", "x.sclc", "y.sclc", "-o", "one.jpg"),
    ("compress", "a.png", "b.png", "-o", "-"),
    ("compress", "a.png", "b.png", "-o", "m.sclcm"),
    ("compress", "a.png", "-"),
    ("compress", "a.png", "-o", ""),
    ("compress", "a.png", "-o", "no/such/one.sclc"),
    ("compress", "a.png", "-o", "m.sclcm/one.sclc"),
    ("compress", "a.png", "b.png", "-o", "m.sclcm/folder"),
    ("decompress", "a.png", "-o", "x.heic"),
  ],
)
def test_an_output_that_does_not_go_with_the_inputs_is_refused(
  sclc, album, args
):
  before = sorted(album.rglob("*"))
  done = sclc(*args)
  assert done.code == 1 and done.out == b""
  assert done.errors == done.err.splitlines() and done.errors
  assert sorted(album.rglob("*")) == before


def test_stdin_to_a_folder_and_to_info(sclc, album, coded):
  (album / "d").mkdir()
  data = (album / "a.png").read_bytes()
  done = sclc("compress", "-", "-o", "d", stdin=data)
  assert done.code == 0 and done.out.startswith(b"d/stdin.sclc\t")
  assert (album / "d" / "stdin.sclc").read_bytes() == coded
  assert b"width: 48" in sclc("info", "-", stdin=coded).out


@pytest.mark.parametrize("suffix", sorted(WRITTEN | {".JPG", ""}))
def test_the_suffix_says_the_format(sclc, album, suffix, coded, tiny_model):
  gray = suffix == ".pgm"
  x_hat = Codec(tiny_model).decompress(coded)
  if gray:
    x_hat = x_hat[..., 0]
    coded = Codec(tiny_model).compress(x_hat)
    x_hat = Codec(tiny_model).decompress(coded)
  (album / "p.sclc").write_bytes(coded)
  assert sclc("decompress", "p.sclc", "-o", f"p{suffix}").code == 0
  image = Image.open(f"p{suffix}")
  registered = Image.registered_extensions()
  assert image.format in (registered.get(suffix.lower(), "PNG"), "PPM")
  back = np.asarray(image.convert("L" if gray else "RGB")).astype(int)
  if suffix in _LOSSLESS:
    np.testing.assert_array_equal(back, x_hat)
  else:
    assert np.abs(back - x_hat).mean() < 3


def test_alpha_goes_where_it_can_be_kept(sclc, album, photo):
  alpha = np.arange(32 * 48, dtype=np.uint8).reshape(32, 48)
  Image.fromarray(np.dstack([photo[:32, :48], alpha])).save("t.png")
  assert sclc("compress", "t.png").code == 0
  for suffix in (".png", ".webp", ".tif"):
    assert sclc("decompress", "t.sclc", "-o", f"u{suffix}").code == 0
    back = np.asarray(Image.open(f"u{suffix}"))
    np.testing.assert_array_equal(back[..., 3], alpha)
  for suffix in (".jpg", ".bmp", ".ppm"):
    done = sclc("decompress", "t.sclc", "-o", f"v{suffix}")
    assert done.code == 1 and "transparency" in done.err
    assert ".png" in done.err and not os.path.exists(f"v{suffix}")


def test_metadata_goes_where_it_can_be_kept(sclc, album, photo):
  image = Image.fromarray(photo[:32, :48])
  exif = image.getexif()
  exif[0x010F] = "maker"
  image.save("t.png", exif=exif, icc_profile=b"profile" * 9)
  assert sclc("compress", "t.png", "--keep-metadata").code == 0
  for suffix in (".png", ".jpg", ".webp", ".tif"):
    assert sclc("decompress", "t.sclc", "-o", f"u{suffix}").code == 0
    back = Image.open(f"u{suffix}")
    assert back.info["icc_profile"] == b"profile" * 9
    assert back.getexif()[0x010F] == "maker"
  done = sclc("decompress", "t.sclc", "-o", "u.bmp")
  assert done.code == 0 and "metadata" in done.err


def test_a_picture_never_replaces_the_photo_that_is_inspected(sclc, album):
  os.rename("a.png", "rd.png")
  before = (album / "rd.png").read_bytes()
  done = sclc("inspect", "rd.png", "-o", ".")
  assert done.code == 1 and len(done.errors) == 1
  assert (album / "rd.png").read_bytes() == before


@pytest.mark.parametrize("flag", ["--csv", "--plot"])
def test_a_table_never_replaces_a_photo_that_is_evaluated(sclc, album, flag):
  before = (album / "a.png").read_bytes()
  done = sclc("evaluate", "--images", ".", flag, "a.png", "--quiet")
  assert done.code == 1 and len(done.errors) == 1
  assert (album / "a.png").read_bytes() == before


def test_the_bytes_of_a_pipe_or_a_file_are_the_same(sclc, album):
  pipe, end = os.pipe()
  with open(end, "wb") as file:
    file.write((album / "a.png").read_bytes())
  done = sclc("compress", f"/dev/fd/{pipe}", "-o", "x.sclc")
  os.close(pipe)
  assert done.code == 0
  expected = sclc("compress", "a.png", "-o", "-").out
  assert io.BytesIO(expected).getvalue() == (album / "x.sclc").read_bytes()
