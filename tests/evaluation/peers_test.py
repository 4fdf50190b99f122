import numpy as np
import pytest
import skimage.data
from PIL import Image

from sclc_jax.evaluation import peers
from sclc_jax.metrics import psnr_db

_INSTALLED = [peer for peer in peers.PEERS if peer.installed()]


def test_jpeg_and_webp_are_always_there():
  assert {"JPEG", "WEBP"} <= {peer.kind for peer in _INSTALLED}


@pytest.mark.parametrize("peer", _INSTALLED, ids=lambda peer: peer.kind)
def test_every_setting_costs_more_and_shows_more(peer):
  image = skimage.data.astronaut()[:192, :192]
  sizes, values = [], []
  for setting in peer.settings[1::3]:
    data = peer.encode(image, setting)
    sizes.append(len(data))
    values.append(psnr_db(image, peer.decode(data, gray=False)))
  assert sizes == sorted(sizes) and values == sorted(values)
  gray = peer.decode(peer.encode(image[..., 0], peer.settings[-1]), gray=True)
  assert gray.shape == image.shape[:2]


def test_a_second_run_takes_only_what_it_knows_from_the_first(
  tmp_path, monkeypatch
):
  rng = np.random.default_rng(0)
  for name in ("a", "b"):
    image = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / f"{name}.png")
  paths = sorted(tmp_path.glob("*.png"))
  cache = tmp_path / "peers.csv"
  coded = []
  real = peers.Peer.encode

  def counted(self, image, setting):
    coded.append(setting)
    return real(self, image, setting)

  monkeypatch.setattr(peers.Peer, "encode", counted)
  first = peers.measure_peers([peers.JPEG], paths[:1], cache, quiet=True)
  assert len(coded) == len(first) == len(peers.JPEG.settings)
  again = peers.measure_peers([peers.JPEG], paths, cache, quiet=True)
  assert len(coded) == len(first) * 2 == len(again)
  assert [r["bytes"] for r in again if r["image"] == "a.png"] == (
    [r["bytes"] for r in first]
  )
  curve = peers.peer_curves(again)[peers.JPEG.name]
  assert curve.bpp.size == len(peers.JPEG.settings)
  cache.write_text("codec\nx\n")
  with pytest.raises(ValueError, match="remove it"):
    peers.measure_peers([peers.JPEG], paths, cache, quiet=True)


def test_the_limit_of_pixels_holds_for_peers_too(tmp_path):
  Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(tmp_path / "a.png")
  with pytest.raises(ValueError, match="a.png: it has 32x24 .*--max-pixels"):
    peers.measure_peers(
      [peers.JPEG], [tmp_path / "a.png"], quiet=True, max_pixels=99
    )


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
  paths = [tmp_path / "x" / "a.png", tmp_path / "y" / "z" / "a.png"]
  for path in paths:
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(path)
  rows = peers.measure_peers([peers.JPEG], paths, quiet=True)
  assert {r["image"] for r in rows} == {"x/a.png", "y/z/a.png"}
