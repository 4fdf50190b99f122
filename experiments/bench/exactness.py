"""Do the same files decode everywhere? And would they with float control?

    python exactness.py write --images KODAK --out DIR     # in environment A
    python exactness.py check DIR                          # in environment B

`write` encodes each image at five qualities and stores, beside each file,
digests of z, mask, index and y, those of the float control path, and the
decoded pixels. `check` decodes the files where it runs and counts the files
whose digests differ, and the largest pixel difference. Run it again in any
other setting: --threads 1, JAX_DISABLE_JIT=1, another JAX, another device.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from common import add_flags, argument_parser
from float_control import FloatControl

from sclc_jax.codec.codec import Codec, load_codec
from sclc_jax.codec.pixels.transforms import Transforms
from sclc_jax.images import find_images, load_image
from sclc_jax.models.variable_rate import VariableRate

QUALITIES = (1, 2.5, 4, 5.5, 8)
EXACT = ("z", "mask", "index", "y")


class BfloatTransforms(Transforms):
  """Analyses in bfloat16; its files must decode like any other."""

  def run(self, method, x, *level):
    if method != "analysis":
      return super().run(method, x, *level)
    x = jnp.asarray(x, jnp.bfloat16) / 127.5 - 1
    model = VariableRate(self._config)
    y = model.apply({"params": self.params}, x, method="analysis")
    return np.asarray(y.astype(jnp.float32))


def digest(array: np.ndarray) -> str:
  """Of shape, type and values."""
  array = np.ascontiguousarray(array)
  head = f"{array.dtype.str}{array.shape}".encode()
  return hashlib.sha256(head + array.tobytes()).hexdigest()[:16]


def digests(codec: Codec, control: FloatControl, data: bytes) -> dict[str, str]:
  """Of what a file decides, by the exact and by the float control path."""
  actual = codec.symbols(data)
  q = actual.header.q
  _, scale, importance = control.prior(actual.z, actual.y_hat)
  mask = control.mask(importance, q, scale.shape)
  return {
    **{name: digest(getattr(actual, name)) for name in EXACT},
    "float_mask": digest(mask),
    "float_index": digest(control.index(scale, mask, q)),
  }


def write(args) -> None:
  """Encodes, decodes here, and stores both."""
  codec = load_codec(args.model)
  if args.bfloat16:
    model = codec.model
    codec.transforms = BfloatTransforms(model.config, model.params)
  control = FloatControl(codec.model)
  out = pathlib.Path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  actual = {}
  paths = find_images(args.images)
  for path in tqdm.tqdm(paths[: args.limit]):
    analysis = codec.analyse(load_image(path))
    for quality in args.quality:
      name = f"{path.stem}_q{quality:g}"
      data = codec.encode(analysis, quality)
      (out / f"{name}.sclc").write_bytes(data)
      np.save(out / f"{name}.npy", codec.decompress(data))
      actual[name] = digests(codec, control, data)
  (out / "digests.json").write_text(json.dumps(actual, indent=1))


def check(args) -> None:
  """Decodes here and compares."""
  folder = pathlib.Path(args.folder)
  expected = json.loads((folder / "digests.json").read_text())
  codec = load_codec(args.model)
  control = FloatControl(codec.model)
  differ = dict.fromkeys((*EXACT, "float_mask", "float_index", "float"), 0)
  pixels = 0
  for name, wanted in tqdm.tqdm(expected.items()):
    data = (folder / f"{name}.sclc").read_bytes()
    actual = digests(codec, control, data)
    for key, value in actual.items():
      differ[key] += value != wanted[key]
    differ["float"] += any(
      actual[key] != wanted[key] for key in ("float_mask", "float_index")
    )
    if not args.no_pixels:
      shown = codec.decompress(data).astype(int)
      stored = np.load(folder / f"{name}.npy").astype(int)
      pixels = max(pixels, int(np.abs(shown - stored).max()))
  print(
    f"jax {jax.__version__}, {jax.default_backend()}, numpy {np.__version__}, "
    f"{len(expected)} files"
  )
  print(
    "files that differ: " + ", ".join(f"{k} {v}" for k, v in differ.items())
  )
  if not args.no_pixels:
    print(f"largest pixel difference: {pixels}")


def main() -> None:
  parser = argument_parser(__doc__, "--model")
  parser.add_argument("--threads", type=int, help="CPUs to use; None: all")
  commands = parser.add_subparsers(required=True)
  help_format = dict(formatter_class=parser.formatter_class)
  sub = commands.add_parser("write", help="encode and store", **help_format)
  add_flags(sub, "--images", "--limit")
  sub.add_argument("--out", required=True, help="folder of files and digests")
  sub.add_argument(
    "--quality", type=float, nargs="+", default=QUALITIES, help="in [1, 8]"
  )
  sub.add_argument("--bfloat16", action="store_true", help="analyse in it")
  sub.set_defaults(run=write)
  sub = commands.add_parser("check", help="decode, compare", **help_format)
  sub.add_argument("folder", help="that of 'write --out'")
  sub.add_argument(
    "--no-pixels", action="store_true", help="leave out pictures"
  )
  sub.set_defaults(run=check)
  args = parser.parse_args()
  if args.threads:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
  args.run(args)


if __name__ == "__main__":
  main()
