"""File bytes against the training estimate, and what exactness costs.

    python experiments/bench/rate.py --images KODAK

For each quality, over all images: the estimate (sum of -log2 of the training
likelihood at the rounded symbols, unquantised scale, selected elements, plus
z; a context model reads y_hat as decoded), the bytes of the files, how far the
images furthest above and below their estimate lie, as a share of the allowed
0.5 % + 64 bytes, and, of the Hyperprior base alone, what exactness costs
against the same latents coded under the float control path (one that is not
safe), and the ratio of both times to decode.
"""

from __future__ import annotations

import time

import common  # isort: skip (it sets up BLAS, before NumPy)
import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from float_control import FloatControl

from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.entropy.range_coder import get_engine
from sclc_jax.codec.latents.quality import to_q
from sclc_jax.codec.latents.rdoq import RDOQ
from sclc_jax.images import find_images, load_image
from sclc_jax.models.variable_rate import VariableRate
from sclc_jax.nn.likelihoods import to_bits


class FloatDecoder:
  """Decodes with the float control path in place of the exact one."""

  def __init__(self, codec):
    self._codec = codec
    self._control = FloatControl(codec.model)
    weight = codec.model.config.rate_weight
    self._rdoq = RDOQ(codec.model.y_tables, weight)

  def encode(self, analysis, q: int):
    """(coded y, mask): the latents under float mask and indexes."""
    _, scale, importance = self._control.prior(analysis.z, analysis.y)
    mask = self._control.mask(importance, q, scale.shape)
    index = self._control.index(scale, mask, q)
    tables = self._codec.model.y_tables
    y = (analysis.y / self._codec.model.qv[q])[mask]
    y = self._rdoq(y, index).astype(np.int32)
    return get_engine("portable").encode(tables, y, index), mask

  def decode(self, analysis, q: int, data: bytes):
    """Coded y to the picture."""
    _, scale, importance = self._control.prior(analysis.z, analysis.y)
    mask = self._control.mask(importance, q, scale.shape)
    index = self._control.index(scale, mask, q)
    y = get_engine("portable").decode(self._codec.model.y_tables, data, index)
    y_hat = np.zeros(mask.shape, np.float32)
    iqv = self._codec.model.iqv[q]
    y_hat[mask] = y * iqv[np.nonzero(mask)[2]]
    return self._codec.transforms.synthesis(
      y_hat, q, analysis.height, analysis.width, analysis.colour
    )


def main() -> None:
  parser = common.argument_parser(__doc__, "--images", "--model", "--limit")
  parser.add_argument(
    "--quality", type=float, nargs="+", default=[*range(1, 9)], help="in [1, 8]"
  )
  args = parser.parse_args()
  codec = load_codec(args.model)
  other = FloatDecoder(codec)
  model = VariableRate(codec.model.config)
  params = jax.tree.map(jnp.asarray, codec.model.params)
  z_bits = jax.jit(
    lambda z: to_bits(
      model.apply({"params": params}, z[None], method="z_likelihood")
    ).sum()
  )
  y_bits = jax.jit(
    lambda y, scale: to_bits(
      model.apply({"params": params}, y, scale, method="y_likelihood")
    )
  )
  prior = other._control.prior
  rows = {q: [] for q in args.quality}
  paths = find_images(args.images)
  for path in tqdm.tqdm(paths[: args.limit]):
    analysis = codec.analyse(load_image(path))
    side = float(z_bits(jnp.asarray(analysis.z, jnp.float32)))
    for quality in args.quality:
      q = to_q(quality, codec.model.top_quality)
      qv, iqv = codec.model.qv[q], codec.model.iqv[q]
      data = codec.encode(analysis, quality)
      results = codec.symbols(data)
      mean, scale, _ = prior(analysis.z, results.y_hat)
      y = results.y_hat / iqv - mean / qv
      bits = float((y_bits(y, scale / qv) * results.mask).sum())
      estimate = (bits + side) / 8
      overhead = len(data) - codec.info(data)["y_bytes"]
      inexact = end = middle = start = float("nan")
      if codec.model.config.base == "hyperprior":
        coded, _ = other.encode(analysis, q)
        inexact = len(coded) + overhead
        start = time.perf_counter()
        codec.decompress(data)
        middle = time.perf_counter()
        other.decode(analysis, q, coded)
        end = time.perf_counter()
      rows[quality].append(
        (
          estimate,
          len(data),
          (len(data) - estimate) / (0.005 * estimate + 64),
          inexact,
          middle - start,
          end - middle,
        )
      )
  print("quality  estimate  file      over_%  most_above  most_below  "
        "exactness_%  decode_ratio")  # fmt: skip
  for quality, results in rows.items():
    table = np.array(results)
    estimate, size, _, inexact, exact_s, float_s = table.sum(0)
    ratio = np.median(table[:, 4]) / np.median(table[:, 5])
    print(
      f"{quality:<7g}  {estimate:8.0f}  {size:8.0f}  "
      f"{100 * (size / estimate - 1):+6.2f}  {table[:, 2].max():+10.2f}  "
      f"{table[:, 2].min():+10.2f}  "
      f"{100 * (size / inexact - 1):+11.3f}  {ratio:12.3f}"
    )


if __name__ == "__main__":
  main()
