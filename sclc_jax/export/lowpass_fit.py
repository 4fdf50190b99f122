"""Low-pass prediction for a model that was trained without it.

Of all channels of y those are predicted whose four neighbours tell the most;
nothing else of the model changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import scipy.optimize

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.entropy.range_coder import symbol_bits
from sclc_jax.codec.entropy.tables import INDEX_BOUNDS
from sclc_jax.codec.exact import lowpass
from sclc_jax.codec.exact.control import Q_PER_LEVEL, SCALE_BITS
from sclc_jax.codec.exact.lowpass import WEIGHT_MAX, LowPass
from sclc_jax.codec.model.codec_model import CodecModel, with_fingerprint
from sclc_jax.codec.pixels.picture import middle

_SIDE = 512  # pixels taken from the middle of each photograph
_PREDICTABLE = 0.5  # share of the squares that four neighbours explain
_FLOOR = 0.3  # steps added to a scale where errors are weighted by it
_SMALL = 0.1  # errors below this part of their scale count alike
_RIDGE = 1e-6
_ROUNDS = 4  # of means and scales in turn
_FACTORS = 2.0 ** (np.arange(-8, 25) / 8)  # on fitted scales


def fit_lowpass(
  model: CodecModel, images: Iterable[np.ndarray]
) -> tuple[CodecModel, float]:
  """Gives a model low-pass prediction, or another one.

  Args:
    model: a frozen model of base `hyperprior` and several levels.
    images: uint8 [H, W, 3] or [H, W], of which the middle counts; not those
      that the model will be judged by.

  Returns:
    The model with it: another one, to its files; and the bits that it saves on
    each 16x16 pixels, the mean over photographs and levels.

  Raises:
    ValueError: the base is another one, or no channel resembles its neighbours.
  """
  if model.config.base != "hyperprior":
    raise ValueError(
      f"model {model.fingerprint.hex()} (base {model.config.base!r}) has means "
      "already, which low-pass prediction would give; take one of base "
      "'hyperprior'."
    )
  codec = Codec(model)
  latents = []
  for image in images:
    analysis = codec.analyse(middle(image, _SIDE))
    latents.append((analysis.y, analysis.side * 2.0**-SCALE_BITS))
  channels = _predictable(model, latents)
  if not channels.size:
    raise ValueError(
      f"no channel of model {model.fingerprint.hex()} resembles its "
      "neighbours in these photographs; leave --fit-lowpass out."
    )
  means, scales, saved = zip(
    *(_fit(model, latents, channel) for channel in channels)
  )
  part = LowPass(
    channels.astype(np.int32),
    _rounded(means, lowpass.MEAN_BITS),
    _rounded(scales, SCALE_BITS),
  )
  assert part.is_valid(model.config.M)
  fitted = with_fingerprint(dataclasses.replace(model, lowpass=part))
  return fitted, sum(saved)


def _rounded(rows: Iterable[np.ndarray], bits: int) -> np.ndarray:
  weights = np.round(np.ldexp(np.stack(list(rows)), bits))
  return np.clip(weights, -WEIGHT_MAX, WEIGHT_MAX).astype(np.int32)


def _neighbours(y: np.ndarray) -> np.ndarray:
  """[h, w, ...] to its neighbours, [6, h w, ...]."""
  h, w = y.shape[:2]
  return y.reshape(h * w, *y.shape[2:])[lowpass.neighbours(h, w)]


def _predictable(model: CodecModel, latents) -> np.ndarray:
  """The channels whose neighbours explain most of their squares, rising."""
  floor = _FLOOR * model.qv[len(model.qv) // 2]
  moments = np.zeros((model.config.M, 5, 5))
  for y, scale in latents:
    weighted = y / (scale + floor)
    flat = weighted.reshape(1, -1, weighted.shape[-1])
    terms = np.concatenate([_neighbours(weighted)[:4], flat]).T  # [M, n, 5]
    moments += terms.swapaxes(1, 2) @ terms
  squares = moments[:, 4, 4]
  ridge = _RIDGE * squares[:, None, None] * np.eye(4) + 1e-9 * np.eye(4)
  weights = np.linalg.solve(moments[:, :4, :4] + ridge, moments[:, :4, 4:])
  explained = (weights[..., 0] * moments[:, :4, 4]).sum(1)
  return np.flatnonzero(explained > _PREDICTABLE * squares)


def _fit(
  model: CodecModel, latents, channel: int
) -> tuple[np.ndarray, np.ndarray, float]:
  """Prediction of one channel.

  Args:
    model: a frozen model.
    latents: y [h, w, M] and its scale, of each photograph.
    channel: of M.

  Returns:
    Weights of `LowPass.mean` [7] and `LowPass.scale` [9], as floats; bits that
    an element costs less, the mean over the levels.
  """
  ours = [(y[..., channel], scale[..., channel]) for y, scale in latents]
  qvs, iqvs = (
    steps[::Q_PER_LEVEL, channel].tolist() for steps in (model.qv, model.iqv)
  )

  def observed(means):
    return [_observed(ours, means, *step) for step in zip(qvs, iqvs)]

  means = _first_means(ours, qvs[len(qvs) // 2], iqvs[0] / qvs[0])
  for _ in range(_ROUNDS):
    errors, inputs, terms = map(np.concatenate, zip(*observed(means)))
    scales = _scale_weights(errors, terms)
    means = _means(errors, inputs, terms @ scales, means)
  levels = [(np.round(e), x) for e, _, x in observed(means)]
  tables = model.y_tables

  def bits(errors, scale):
    index = np.searchsorted(INDEX_BOUNDS, scale).astype(np.int32)
    return symbol_bits(tables, errors.astype(np.int32), index).mean()

  after, factor = min(
    (np.mean([bits(errors, f * x @ scales) for errors, x in levels]), f)
    for f in _FACTORS
  )
  before = np.mean(
    [bits(np.round(y / qv), s / qv) for qv in qvs for y, s in _flat(ours)]
  )
  return means, factor * scales, before - after


def _flat(ours) -> list[tuple[np.ndarray, np.ndarray]]:
  """y and scale of all photographs, [n] each, in one."""
  return [tuple(np.concatenate([a.ravel() for a in one]) for one in zip(*ours))]


def _first_means(ours, qv: float, gain: float) -> np.ndarray:
  """[7], by least squares of errors relative to the hyperprior's scale.

  Args:
    ours: y and scale, [h, w] each, of each photograph.
    qv: step of the middle level.
    gain: IQV / QV, which known elements are larger by.
  """
  ((y, scale),) = _flat(ours)
  inputs = np.concatenate(
    [lowpass.mean_inputs(gain * _neighbours(y)).T for y, _ in ours]
  )
  return _solved(inputs, y, (scale + _FLOOR * qv) ** -2)


def _means(
  errors: np.ndarray, inputs: np.ndarray, scale: np.ndarray, means: np.ndarray
) -> np.ndarray:
  """[7], nearer to those of least absolute errors relative to their scale.

  Args:
    errors: [n], under the present weights.
    inputs: [n, 7].
    scale: [n].
    means: [7], the present weights.
  """
  size = np.maximum(np.abs(errors), _SMALL * scale)
  return means + _solved(inputs, errors, 1 / (scale * size))


def _solved(
  inputs: np.ndarray, wanted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
  """Weighted least squares: inputs [n, 7] times the result give [n]."""
  weighted = inputs.T * weights
  moments = weighted @ inputs
  ridge = _RIDGE * np.trace(moments) / len(moments)
  return np.linalg.solve(moments + ridge * np.eye(len(moments)),
                         weighted @ wanted)  # fmt: skip


def _observed(
  ours, means: np.ndarray, qv: float, iqv: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """What prediction leaves at a level, in steps.

  Returns:
    [n], y less its mean; [n, 7], what the mean is a sum of, and [n, 9], what
    its scale is.
  """
  parts = []
  for y, scale in ours:
    nearest = _neighbours(np.round(y / qv) * iqv)
    inputs = lowpass.mean_inputs(nearest) / qv
    error = y.ravel() / qv - means @ inputs
    around = _neighbours(np.abs(np.round(error)).reshape(y.shape) * iqv)
    activity = lowpass.scale_inputs(nearest, around)
    constant = np.ones((1, y.size))
    terms = np.concatenate([scale.reshape(1, -1), activity, constant]) / qv
    # The first one has no neighbours.
    parts.append((error[1:], inputs.T[1:], terms.T[1:]))
  return tuple(np.concatenate(part) for part in zip(*parts))


def _scale_weights(errors: np.ndarray, inputs: np.ndarray) -> np.ndarray:
  """[9], >= 0, most likely if errors are Laplacian.

  Args:
    errors: [n].
    inputs: [n, 9].
  """
  size = np.abs(errors)

  def loss(logs):
    weights = np.exp(logs)
    scale = inputs @ weights + 1e-3
    slope = (1 / scale - size / scale**2) / size.size
    return np.mean(size / scale + np.log(scale)), slope @ inputs * weights

  start = np.log(np.full(inputs.shape[1], 0.1))
  return np.exp(scipy.optimize.minimize(loss, start, jac=True).x)
