"""A selector for a model that was trained without one, in closed form.

An element whose predicted scale is small beside QV rounds to zero. If the
density predicts that well, coding the element costs time but almost no bits. So
the importance map is fitted to the predicted scales, and the curves put the
threshold of every level at the same multiple of its QV. Training a selector
with random masks (paper, section 3.1) selects alike, but disturbs the other
parts of the model on the way.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.optimize
import scipy.special

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.exact.control import (
  ACTIVATION_BITS,
  Q_PER_LEVEL,
  SCALE_BITS,
)
from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.pixels.picture import middle
from sclc_jax.export.density import y_mixture
from sclc_jax.export.freeze import with_selector

# Small enough to cost next to no rate (0.1 %); more costs more.
IMPROBABLE = 1e-4
_SIDE = 256  # pixels taken from the middle of each photograph
_RIDGE = 1e-4


def fit_selector(
  model: CodecModel,
  images: Iterable[np.ndarray],
  improbable: float = IMPROBABLE,
) -> CodecModel:
  """Gives a model a selector, or another one; all else stays as it is.

  Args:
    model: a frozen model of several levels, without a context model.
    images: uint8 [H, W, 3] or [H, W], of which the middle counts; not those
      that the model will be judged by.
    improbable: elements that round to another number than zero with a
      probability below this, in (0, 1), are left out
      (`experiments/bench/selection.py`).

  Returns:
    The model with a selector: another one, to its files.

  Raises:
    ValueError: improbable is out of range; the model has no quantizer, or a
      context model, which gives scales only after the mask is known; or there
      are too few images.
  """
  config = model.config
  if not 0 < improbable < 1:
    raise ValueError(
      f"improbable must lie between 0 and 1, got {improbable}; 1e-4 leaves out "
      "what is zero anyway."
    )
  if not config.adaptive:
    raise ValueError(
      f"model {model.fingerprint.hex()} has no quantizer, whose QV a "
      "selector is fitted to; train its quantization stage first."
    )
  if model.context is not None:
    raise ValueError(
      f"model {model.fingerprint.hex()} has a context model (base "
      f"{config.base!r}), whose scales are not known before the mask; train "
      "its selective stage instead."
    )
  thresholds = _narrow(model, improbable) * model.qv
  middle = thresholds[len(thresholds) // 2]
  kernel, bias = _linear(*_observed(model, images), middle)
  thresholds = thresholds[::Q_PER_LEVEL]
  # A channel's highest, mostly that of level 1, comes to an importance of 0.5.
  highest = thresholds.max(0)
  selector = {
    "head": {
      "kernel": (0.5 * kernel / highest)[None, None],
      "bias": 0.5 * bias / highest - 0.5,  # importance adds 0.5
    },
    "gamma": 1 / (1 + np.log2(highest / thresholds)),
  }
  return with_selector(model, selector, mask_threshold=0.5, curves="channel")


def _narrow(model: CodecModel, improbable: float) -> float:
  """The predicted scale, in units of QV, of elements that are so improbable."""
  weights, multiples = y_mixture(model.config, model.params)

  def excess(log_scale: float) -> float:
    beyond = scipy.special.ndtr(-0.5 / (multiples * np.exp(log_scale)))
    return 2 * weights @ beyond - improbable

  return np.exp(scipy.optimize.brentq(excess, -10.0, 10.0))


def _observed(
  model: CodecModel, images: Iterable[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
  """Features [n, F] and scales [n, M] of the middles of photographs."""
  codec = Codec(model)
  features, scales = [], []
  for image in images:
    analysis = codec.analyse(middle(image, _SIDE))
    side = analysis.side[..., -model.config.M :]  # scales follow means
    read = model.control.features(analysis.z)
    features.append(read.reshape(-1, read.shape[-1]) * 2.0**-ACTIVATION_BITS)
    scales.append(side.reshape(-1, model.config.M) * 2.0**-SCALE_BITS)
  blocks = sum(map(len, features))
  inputs = model.control.convs[1].bias.size
  if blocks < inputs:
    raise ValueError(
      f"the photographs have {blocks} blocks of 16x16 pixels in their middles; "
      f"the selector has {inputs} inputs: give at least as many blocks, better "
      "a hundred photographs."
    )
  return np.concatenate(features), np.concatenate(scales)


def _linear(
  features: np.ndarray, scales: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Kernel [F, M] and bias [M] that give scales [n, M] of features [n, F].

  Least squares of errors relative to the scale and the channel's threshold of
  the middle quality [M], about which it has to be exact.
  """
  inputs = np.concatenate([features, np.ones((len(features), 1))], 1)
  weights = np.empty((inputs.shape[1], scales.shape[1]))
  for channel, scale in enumerate(scales.T):
    weighted = inputs.T / (scale + middle[channel]) ** 2
    moments = weighted @ inputs
    ridge = _RIDGE * np.trace(moments) / len(moments)
    weights[:, channel] = np.linalg.solve(
      moments + ridge * np.eye(len(moments)), weighted @ scale
    )
  return weights[:-1], weights[-1]
