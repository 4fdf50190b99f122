"""Files of every released format version, decoded by every later one.

`python tests/codec/golden_test.py` writes the set of the present version with
the model of the first, `... BASE` the set of another base model at version 1,
`... fitted` that of a model with tables of y of its own, `... differences`
that of a model of version 4 of .sclcm (`packed`: of version 3), `... lowpass`
that of one with low-pass prediction (version 5), `... conditional` that of one
with a conditional synthesis (version 6), `... xmp` files that keep XMP; a set
that was released is never written again. The hyperprior's lie in the
version's folder, the others' in folders of their own.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import pytest
import skimage.data

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.model.model_file import read_model
from sclc_jax.codec.stream import bitstream
from sclc_jax.config import BASES
from sclc_jax.images import load_photo, png_bytes

pytestmark = pytest.mark.usefixtures("compile_as_users_do")
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v*/**/*.sclc"))
NAMES = [str(p.relative_to(GOLDEN).with_suffix("")) for p in FILES]
OWN_MODELS = ("fitted", "packed", "differences", "lowpass", "conditional")


def golden_codec(folder: pathlib.Path) -> Codec:
  """With the folder's own model, else that of the first version."""
  own = folder / "model.sclcm"
  first = GOLDEN / "v1" / "model.sclcm"
  return Codec(read_model(own if own.exists() else first))


def symbols_digest(codec: Codec, data: bytes) -> str:
  actual = codec.symbols(data)
  digest = hashlib.sha256()
  for array, kind in (
    (actual.z, "<i4"), (actual.mask, "u1"),
    (actual.index, "<i4"), (actual.y, "<i4"),
  ):  # fmt: skip
    digest.update(np.ascontiguousarray(array, kind).tobytes())
  return digest.hexdigest()


def test_every_format_version_has_its_files():
  folders = {str(path.parent.relative_to(GOLDEN)) for path in FILES}
  versions = [f"v{i}" for i in range(1, bitstream.VERSION + 1)]
  others = [f"v1/{name}" for name in (*BASES[1:], *OWN_MODELS)]
  assert folders == {*versions, *others, "v2/xmp"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_golden_file_decodes_to_the_same_symbols_and_picture(path):
  codec = golden_codec(path.parent)
  data = path.read_bytes()
  digests = json.loads((path.parent / "symbols.json").read_text())
  assert symbols_digest(codec, data) == digests[path.stem]
  wanted = load_photo(path.with_suffix(".png")).image.astype(int)
  actual = codec.decompress(data)
  assert actual.shape == wanted.shape
  assert np.abs(actual - wanted).max() <= 1


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_golden_file_is_packed_to_the_same_bytes(path):
  data = path.read_bytes()
  assert bitstream.pack(bitstream.unpack(data)) == data
  assert f"v{data[3]}" == path.relative_to(GOLDEN).parts[0]


def test_golden_metadata_comes_back():
  codec = golden_codec(GOLDEN / "v2")
  data = (GOLDEN / "v2" / "metadata_q1.sclc").read_bytes()
  assert codec.metadata(data) == METADATA
  data = (GOLDEN / "v2" / "xmp" / "all_q4.sclc").read_bytes()
  assert codec.metadata(data) == METADATA | XMP


XMP = {"xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"}
METADATA = {"icc": bytes(range(256)), "exif": b"MM\0*" + bytes(60)}


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


def _write_base(base: str) -> None:
  from sclc_jax.codec.model.model_file import save_model
  from sclc_jax.config import ModelConfig
  from sclc_jax.export.freeze import freeze

  folder = GOLDEN / "v1" / base
  folder.mkdir()
  config = ModelConfig(base, 8, 12, init="wavelet", table_init="geometric")
  save_model(freeze(config, _random_params(config)), folder / "model.sclcm")
  photo = skimage.data.astronaut()[:128, 160:320]
  noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
  _write(
    folder,
    {
      "rgb_q1": (photo, 1), "rgb_q4.5": (photo, 4.5), "rgb_q8": (photo, 8),
      "gray_q3": (photo[:70, :65, 1], 3), "pixel_q8": (photo[:1, :1], 8),
      "column_q2": (photo[:100, 7:8], 2), "noise_q8": (noise, 8),
    },
  )  # fmt: skip


def _write_fitted() -> None:
  from sclc_jax.export.table_fit import fit_tables

  photo = skimage.data.astronaut()[:128, 160:320]
  model, _ = fit_tables(golden_codec(GOLDEN / "v1").model, [photo])
  _write_model("fitted", model)


def _write_present(name: str) -> None:
  from sclc_jax.config import ModelConfig
  from sclc_jax.export.freeze import freeze

  config = ModelConfig(
    N=8, M=12, init="wavelet", table_init="geometric", density="mixture",
    mask_threshold=0.3,
  )  # fmt: skip
  _write_model(name, freeze(config, _random_params(config)))


def _write_lowpass() -> None:
  import dataclasses

  from sclc_jax.codec.exact.lowpass import LowPass
  from sclc_jax.codec.model.codec_model import with_fingerprint

  rng = np.random.default_rng(5)
  part = LowPass(
    np.array([0, 5, 11], np.int32),
    rng.integers(-(2**13), 2**13, (3, 7), np.int32),
    rng.integers(0, 2**12, (3, 9), np.int32),
  )
  model = golden_codec(GOLDEN / "v1" / "differences").model
  model = dataclasses.replace(model, lowpass=part)
  _write_model("lowpass", with_fingerprint(model))


def _write_conditional() -> None:
  import dataclasses

  from sclc_jax.codec.model.codec_model import with_fingerprint

  rng = np.random.default_rng(0)
  model = golden_codec(GOLDEN / "v1").model
  base = dict(model.params["base"])
  last = dict(base["synthesis"]["conv_0"])
  for name in ("kernel", "bias"):
    noise = 0.3 * rng.normal(size=last[name].shape) * last[name].std()
    slope = (noise + 0.05 * (name == "bias")).astype(np.float16)
    last[f"{name}_slope"] = slope.astype(np.float32)
  base["synthesis"] = {**base["synthesis"], "conv_0": last}
  model = dataclasses.replace(
    model,
    config=dataclasses.replace(model.config, conditional=True),
    params={**model.params, "base": base},
  )
  _write_model("conditional", with_fingerprint(model))


def _write_model(name: str, model: CodecModel) -> None:
  from sclc_jax.codec.model.model_file import save_model

  folder = GOLDEN / "v1" / name
  folder.mkdir()
  save_model(model, folder / "model.sclcm")
  photo = skimage.data.astronaut()[:128, 160:320]
  noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
  _write(
    folder,
    {"rgb_q1": (photo, 1), "rgb_q4.5": (photo, 4.5), "noise_q8": (noise, 8)},
  )


def _write_version() -> None:
  folder = GOLDEN / f"v{bitstream.VERSION}"
  folder.mkdir()
  photo = skimage.data.astronaut()[:128, 160:320]
  alpha = np.hypot(*np.mgrid[-64:64, -80:80]).clip(0, 80).astype(np.uint8) * 3
  rgba = np.dstack([photo, alpha])
  position = np.full((2, 3), 2.0)
  position[0, 1:] = 7.5
  _write(
    folder,
    {
      "alpha_q4": (rgba, 4),
      "gray_alpha_q2": (rgba[:70, :65, 2:], 2),
      "plain_alpha_q1": (np.dstack([photo, alpha // 255 + 9]), 1),
      "map_q7.5": (photo, position),
      "metadata_q1": (photo, 1, METADATA),
      "all_q7.5": (rgba, position, METADATA),
    },
  )


def _write_xmp() -> None:
  folder = GOLDEN / "v2" / "xmp"
  folder.mkdir()
  photo = skimage.data.astronaut()[:128, 160:320]
  alpha = np.hypot(*np.mgrid[-64:64, -80:80]).clip(0, 80).astype(np.uint8) * 3
  everything = (np.dstack([photo, alpha]), 4, METADATA | XMP)
  _write(folder, {"xmp_q1": (photo, 1, XMP), "all_q4": everything})


def _write(folder: pathlib.Path, images: dict[str, tuple]) -> None:
  codec = golden_codec(folder)
  digests = {}
  for name, arguments in images.items():
    data = codec.compress(*arguments)
    (folder / f"{name}.sclc").write_bytes(data)
    (folder / f"{name}.png").write_bytes(png_bytes(codec.decompress(data)))
    digests[name] = symbols_digest(codec, data)
  (folder / "symbols.json").write_text(json.dumps(digests, indent=2) + "\n")


if __name__ == "__main__":
  if sys.argv[1:] == ["fitted"]:
    _write_fitted()
  elif sys.argv[1:] == ["differences"]:
    _write_present("differences")
  elif sys.argv[1:] == ["lowpass"]:
    _write_lowpass()
  elif sys.argv[1:] == ["conditional"]:
    _write_conditional()
  elif sys.argv[1:] == ["xmp"]:
    _write_xmp()
  elif len(sys.argv) > 1:
    _write_base(sys.argv[1])
  else:
    _write_version()
