"""Files of every released format version, decoded by every later one.

`python tests/codec/golden_test.py BASE` writes the set of a base model at the
present version; a set that was released is never written again. The
hyperprior's lie in the version's folder, the others' in folders of their own.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import pytest

from sclc_jax.codec import bitstream
from sclc_jax.codec.codec import Codec
from sclc_jax.codec.images import load_image, png_bytes
from sclc_jax.codec.model_file import read_model
from sclc_jax.config import BASES

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v*/**/*.sclc"))


def symbols_digest(codec: Codec, data: bytes) -> str:
  found = codec.symbols(data)
  digest = hashlib.sha256()
  for array, kind in (
    (found.z, "<i4"), (found.mask, "u1"), (found.index, "<i4"), (found.y, "<i4")
  ):  # fmt: skip
    digest.update(np.ascontiguousarray(array, kind).tobytes())
  return digest.hexdigest()


def test_every_format_version_has_its_files():
  folders = {str(path.parent.relative_to(GOLDEN)) for path in FILES}
  versions = [f"v{i}" for i in range(1, bitstream.VERSION + 1)]
  others = [f"v{bitstream.VERSION}/{base}" for base in BASES[1:]]
  assert folders == {*versions, *others}


@pytest.mark.parametrize(
  "path", FILES, ids=lambda p: str(p.relative_to(GOLDEN).with_suffix(""))
)
def test_golden_file_decodes_to_the_same_symbols_and_picture(path):
  codec = Codec(read_model(path.parent / "model.sclcm"))
  data = path.read_bytes()
  digests = json.loads((path.parent / "symbols.json").read_text())
  assert symbols_digest(codec, data) == digests[path.stem]
  wanted = load_image(path.with_suffix(".png")).astype(int)
  found = codec.decompress(data)
  assert found.shape == wanted.shape
  assert np.abs(found - wanted).max() <= 1


def _random_params(config):
  """Untrained parameters under which mean, scale and mask vary."""
  import jax

  from sclc_jax.models.variable_rate import init_params

  params = jax.device_get(init_params(config, 3))
  rng = np.random.default_rng(4)
  base, selector = params["base"], params["selector"]
  layers = [*base["hyper_synthesis"].values(), selector["head"]]
  context = base.get("context_model", {})
  layers += [context[key] for key in context if key.startswith("conv")]
  for layer in layers:
    noise = rng.normal(0, 0.3, layer["bias"].shape)
    layer["bias"] = layer["bias"] + noise
    layer["kernel"] = layer["kernel"] * 1.5
    if config.base != "hyperprior":  # its means start at zero
      noise = rng.normal(0, 0.1, layer["kernel"].shape)
      layer["kernel"] = layer["kernel"] + noise
  selector["gamma"] = rng.gamma(2, 0.5, selector["gamma"].shape)
  return params


def _write(base: str) -> None:
  import skimage.data

  from sclc_jax.codec.model_file import freeze, save_model
  from sclc_jax.config import ModelConfig

  folder = GOLDEN / f"v{bitstream.VERSION}"
  if base != BASES[0]:
    folder = folder / base
  folder.mkdir(parents=True)
  config = ModelConfig(base, 8, 12, init="wavelet", table_init="geometric")
  model = freeze(config, _random_params(config))
  save_model(model, folder / "model.sclcm")
  codec = Codec(model)
  photo = skimage.data.astronaut()[:128, 160:320]
  noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
  images = {
    "rgb_q1": (photo, 1), "rgb_q4.5": (photo, 4.5), "rgb_q8": (photo, 8),
    "gray_q3": (photo[:70, :65, 1], 3), "pixel_q8": (photo[:1, :1], 8),
    "column_q2": (photo[:100, 7:8], 2), "noise_q8": (noise, 8),
  }  # fmt: skip
  digests = {}
  for name, (image, quality) in images.items():
    data = codec.compress(image, quality)
    (folder / f"{name}.sclc").write_bytes(data)
    (folder / f"{name}.png").write_bytes(png_bytes(codec.decompress(data)))
    digests[name] = symbols_digest(codec, data)
  (folder / "symbols.json").write_text(json.dumps(digests, indent=2) + "\n")


if __name__ == "__main__":
  _write(sys.argv[1])
