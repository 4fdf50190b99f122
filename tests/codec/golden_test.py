"""Files of every released format version, decoded by every later one.

`python tests/codec/golden_test.py` writes the set of the present version with
the model of the first; a set that was released is never written again.
"""

import hashlib
import json
import pathlib

import numpy as np
import pytest

from sclc_jax.codec import bitstream
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.images import load_photo, png_bytes
from sclc_jax.codec.model_file import read_model

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
MODEL = GOLDEN / "v1" / "model.sclcm"
FILES = sorted(GOLDEN.glob("v*/*.sclc"))


def symbols_digest(codec: Codec, data: bytes) -> str:
  found = codec.symbols(data)
  digest = hashlib.sha256()
  for array, kind in (
    (found.z, "<i4"), (found.mask, "u1"), (found.index, "<i4"), (found.y, "<i4")
  ):  # fmt: skip
    digest.update(np.ascontiguousarray(array, kind).tobytes())
  return digest.hexdigest()


def test_every_format_version_has_its_files():
  versions = {path.parent.name for path in FILES}
  assert versions == {f"v{i}" for i in range(1, bitstream.VERSION + 1)}


@pytest.mark.parametrize(
  "path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_golden_file_decodes_to_the_same_symbols_and_picture(path):
  codec = Codec(read_model(MODEL))
  data = path.read_bytes()
  digests = json.loads((path.parent / "symbols.json").read_text())
  assert symbols_digest(codec, data) == digests[path.stem]
  wanted = load_photo(path.with_suffix(".png")).image.astype(int)
  found = codec.decompress(data)
  assert found.shape == wanted.shape
  assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_golden_file_is_packed_to_the_same_bytes(path):
  data = path.read_bytes()
  header, z, y = bitstream.unpack(data)
  sections = bitstream.read_sections(header, data)
  assert bitstream.pack(header, z, y, sections) == data
  assert f"v{data[3]}" == path.parent.name


def test_golden_metadata_comes_back():
  codec = Codec(read_model(MODEL))
  data = (GOLDEN / "v2" / "metadata_q1.sclc").read_bytes()
  assert codec.metadata(data) == METADATA


METADATA = {"icc": bytes(range(256)), "exif": b"MM\0*" + bytes(60)}


def _write() -> None:
  import skimage.data

  folder = GOLDEN / f"v{bitstream.VERSION}"
  folder.mkdir()
  codec = Codec(read_model(MODEL))
  photo = skimage.data.astronaut()[:128, 160:320]
  alpha = np.hypot(*np.mgrid[-64:64, -80:80]).clip(0, 80).astype(np.uint8) * 3
  rgba = np.dstack([photo, alpha])
  place = np.full((2, 3), 2.0)
  place[0, 1:] = 7.5
  images = {
    "alpha_q4": (rgba, 4, None),
    "gray_alpha_q2": (rgba[:70, :65, 2:], 2, None),
    "plain_alpha_q1": (np.dstack([photo, alpha // 255 + 9]), 1, None),
    "map_q7.5": (photo, place, None),
    "metadata_q1": (photo, 1, METADATA),
    "all_q7.5": (rgba, place, METADATA),
  }
  digests = {}
  for name, (image, quality, metadata) in images.items():
    data = codec.compress(image, quality, metadata)
    (folder / f"{name}.sclc").write_bytes(data)
    (folder / f"{name}.png").write_bytes(png_bytes(codec.decompress(data)))
    digests[name] = symbols_digest(codec, data)
  (folder / "symbols.json").write_text(json.dumps(digests, indent=2) + "\n")


if __name__ == "__main__":
  _write()
