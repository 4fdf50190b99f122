"""The typical curves of codec/rate_control.py, measured on photographs.

    python experiments/bench/fit_rate_control.py --images PHOTOS [--limit 300]

Codes the photographs at every level with the default model. Writes, where
rate control reads them: the typical growth of the logarithm of the size; what
PSNR is guessed from (the weights of each channel's error in y_hat, by
non-negative least squares); mean and covariance of (log bpp and that guess at
two levels, PSNR at all levels). The covariance is that of guesses for
photographs whose fifth the weights were not fitted to. Give training
photographs; an evaluation set must not decide constants.
"""

from __future__ import annotations

import numpy as np
import scipy.optimize
import tqdm
from common import argument_parser

from sclc_jax.codec.codec import load_codec
from sclc_jax.codec.rate_control import (
  PROBED,
  TYPICAL,
  guessed_psnr,
  latent_error,
)
from sclc_jax.images import find_images, load_image
from sclc_jax.metrics import psnr_db

_FOLDS = 5


def _weights(errors: np.ndarray, psnr: np.ndarray) -> np.ndarray:
  """Of `guessed_psnr`, from errors [n, L, M] and PSNR [n, L]."""
  squared = 255**2 * 10 ** (-psnr / 10)
  terms = np.concatenate([errors, np.ones_like(errors[..., :1])], -1)
  relative = (terms / squared[..., None]).reshape(-1, terms.shape[-1])
  return scipy.optimize.nnls(relative, np.ones(len(relative)))[0]


def _guesses(errors: np.ndarray, psnr: np.ndarray) -> np.ndarray:
  """PSNR [n, L] guessed by weights of the other folds."""
  guesses = np.empty_like(psnr)
  folds = np.arange(len(psnr)) % _FOLDS
  for fold in range(_FOLDS):
    weights = _weights(errors[folds != fold], psnr[folds != fold])
    guesses[folds == fold] = guessed_psnr(errors[folds == fold], weights)
  return guesses


def main() -> None:
  parser = argument_parser(__doc__, "--images", "--model")
  parser.add_argument(
    "--limit", type=int, default=300, help="photographs, spread over the folder"
  )
  parser.add_argument(
    "--output", default=str(TYPICAL), help="file of the curves"
  )
  args = parser.parse_args()
  codec = load_codec(args.model)
  levels = range(1, codec.model.top_quality + 1)
  paths = find_images(args.images)
  chosen = paths[:: max(1, len(paths) // args.limit)][: args.limit]
  shape = len(chosen), len(levels)
  log_bpp, psnr = np.empty(shape), np.empty(shape)
  errors = np.empty((*shape, codec.model.config.M))
  for i, path in enumerate(tqdm.tqdm(chosen)):
    image = load_image(path)
    analysis = codec.analyse(image)
    for j, level in enumerate(levels):
      size = len(codec.encode(analysis, level))
      log_bpp[i, j] = np.log(8 * size / image[..., 0].size)
      psnr[i, j] = psnr_db(image, codec.reconstruct(analysis, level))
      errors[i, j] = latent_error(codec, analysis, level)
  growth = np.median(log_bpp - log_bpp[:, :1], 0)
  probed = [round(row * (len(levels) - 1)) for row in PROBED]
  guesses = _guesses(errors, psnr)[:, probed]
  rows = np.column_stack([log_bpp[:, probed], guesses, psnr])
  np.savez(
    args.output,
    log_size=growth,
    fingerprint=np.frombuffer(codec.model.fingerprint, np.uint8),
    weights=_weights(errors, psnr),
    mean=rows.mean(0),
    covariance=np.cov(rows.T),
  )


if __name__ == "__main__":
  main()
