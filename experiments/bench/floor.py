"""What y cannot hold: the squared error that stays without any rounding.

    python experiments/bench/floor.py --images PHOTOS --fit TRAINING_PHOTOS \
      [--model M]

Per model, at its top level: the mean squared error as coded, where the
synthesis gets y unrounded and all of it, and where y is first corrected by what
the analysis makes of that picture, y + analysis(x) - analysis(synthesis(y)):
less, where the analysis does not find the best y. Then how many channels of
y_hat are 0 at every position of all images. Beside it what linear transforms of
16x16 pixels lose to as many channels: the KLT of the training photographs, and
the bands of the wavelet start (sclc_jax/nn/wavelet.py). Images are cut to
multiples of 64.
"""

from __future__ import annotations

import numpy as np
import tqdm
from common import argument_parser

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.model.model_file import find_model
from sclc_jax.images import find_images, load_image
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn import wavelet

_SIDE = 16
_BLOCKS = 600  # at most, of a training photograph


def _blocks(image: np.ndarray) -> np.ndarray:
  """[n, 768] float32 of an image whose sides are multiples of 16."""
  h, w, _ = image.shape
  cut = image.reshape(h // _SIDE, _SIDE, w // _SIDE, _SIDE, 3)
  cut = cut.transpose(0, 2, 1, 3, 4).reshape(-1, 3 * _SIDE**2)
  return cut.astype(np.float32) - 127.5


def _cut(image: np.ndarray, side: int) -> np.ndarray:
  h, w, _ = image.shape
  return image[: h // side * side, : w // side * side]


def _klt(paths: list, channels: int) -> np.ndarray:
  """[768, channels], orthonormal."""
  covariance = np.zeros((3 * _SIDE**2,) * 2)
  for path in tqdm.tqdm(paths, desc="KLT", leave=False):
    blocks = _blocks(_cut(load_image(path), _SIDE))
    blocks = blocks[:: max(1, len(blocks) // _BLOCKS)]
    covariance += blocks.T @ blocks
  vectors = np.linalg.eigh(covariance)[1][:, ::-1]
  return vectors[:, :channels].astype(np.float32)


def _start(N: int, M: int) -> np.ndarray:
  """The wavelet start without its GDN, as `_klt`."""
  rows = np.eye(3 * _SIDE**2, dtype=np.float32)
  y = rows.reshape(-1, _SIDE, _SIDE, 3)
  for kernel in wavelet.cascade(N, M)[0]:
    n, side, _, channels = y.shape
    squares = y.reshape(n, side // 2, 2, side // 2, 2, channels)
    y = np.einsum("niajbc,abco->nijo", squares, kernel[1:3, 1:3])
  return y.reshape(len(rows), M) / np.prod(wavelet.GAINS)


def main() -> None:
  parser = argument_parser(__doc__, "--images", "--model")
  parser.add_argument("--fit", required=True, help="photographs to fit to")
  args = parser.parse_args()
  model = find_model(args.model)
  N, M = model.config.N, model.config.M
  codec = Codec(model)
  qv, iqv = model.qv[-1], model.iqv[-1]

  top = np.float32(model.config.levels - 1)

  def apply(method, *inputs):
    floats = VariableRate(model.config)
    return floats.apply({"params": model.params}, *inputs, method=method)

  def squared_error(image, x_hat):
    pixels = np.clip((np.asarray(x_hat[0], np.float64) + 1) * 127.5, 0, 255)
    return np.mean((pixels - image) ** 2)

  linear = {
    "klt": _klt(find_images(args.fit), M), "wavelet_start": _start(N, M)
  }  # fmt: skip
  errors, used = [], np.zeros(M, bool)
  for path in tqdm.tqdm(find_images(args.images), desc="images", leave=False):
    image = _cut(load_image(path), 64)
    analysis = codec.analyse(image)
    used |= np.any(codec.y_hat(analysis, model.top_quality) != 0, (0, 1))
    coded = codec.reconstruct(analysis, model.top_quality)
    whole = apply("synthesis", (analysis.y / qv * iqv)[None], top)
    better = analysis.y + (analysis.y - apply("analysis", whole)[0])
    better = apply("synthesis", (better / qv * iqv)[None], top)
    row = [
      np.mean((coded - image.astype(float)) ** 2),
      squared_error(image, whole),
      squared_error(image, better),
    ]
    blocks = _blocks(image)
    for basis in linear.values():
      row.append(np.mean((blocks - blocks @ basis @ basis.T) ** 2))
    errors.append(row)
  names = ("coded", "unrounded", "corrected", *linear)
  for name, error in zip(names, np.mean(errors, 0)):
    print(f"mse_{name:<14s} {error:8.2f}")
  print(f"channels_always_0  {M - used.sum()} of {M}")


if __name__ == "__main__":
  main()
