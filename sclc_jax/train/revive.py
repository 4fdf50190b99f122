"""New work for the channels of y that a trained Hyperprior does not use.

Where a channel rounds to 0 everywhere, nothing behind it learns any more, and
the model goes on without what it could carry. Here such channels start again as
a linear transform of what the model cannot show: the residual that stays
without any rounding, as far as the picture predicts it. Their way through the
transforms takes those hidden channels that are missed least, which are free
where the model is wider than the one it starts from (`train.transfer`). All is
solved for by linear algebra; training goes on from there.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from sclc_jax.config import ModelConfig
from sclc_jax.models.variable_rate import VariableRate

CROPS = 48  # of 256x256 pixels are enough
_AT_ONCE = 4  # crops in memory
_SIDE = 16  # pixels that an element of y stands for
# Channels on the way, from the image on; at most these and a quarter of N.
_HIDDEN = (12, 32, 32)
_PROBES, _PROBE_SIDE = 16, 64  # crops on which hidden channels are judged
_DEAD = 0.15  # steps of the top level: what deviates less is never coded
# Of a step, what a selected element has to deviate by: of 0.3, 0.45 and 0.6 the
# last had the lowest lmbda * D + R on training photographs.
_WORTH = 0.6
_HIGHEST = 0.9  # importance above which level 1 codes an element
_RIDGE = 1e-4  # relative to the mean eigenvalue
_ZERO_GAMMA = 2.0**-18  # as GDN stores it


@dataclasses.dataclass(frozen=True)
class Revival:
  """What came of it: mean squared errors at 0..255 without any rounding.

  Attributes:
    channels: of y that started again.
    before: of the model as it was.
    freed: without the hidden channels that were taken.
    after: with the channels that started again.
  """

  channels: int
  before: float
  freed: float
  after: float


def revive(
  config: ModelConfig,
  params: Any,
  crops: np.ndarray,
  lmbda: float,
  *,
  quiet: bool = True,
) -> tuple[Any, Revival]:
  """Parameters with which the dead channels of y carry the residual.

  Args:
    config: a model of base `hyperprior` with the quantizer.
    params: its parameters; they stay as they are.
    crops: [n, H, W, 3] uint8 of photographs, sides multiples of 64.
    lmbda: Lagrange weight of the top level. It sets the step there as theory
      has it for high rates, step^2 / 12 = D = 3 / (2 ln 2 lmbda), with 3 as
      the rate is by pixels and D by samples.
    quiet: no progress bar.

  Returns:
    Parameters of the same shapes, and what was gained. What the other channels
    of y carry changes only where hidden channels were in use.

  Raises:
    ValueError: the model is of another kind, or no channel is dead.
  """
  if config.base != "hyperprior" or not config.adaptive:
    raise ValueError(
      "channels can be revived where model.base is 'hyperprior' and "
      f"stages.quantization.steps above 0; model.base is {config.base!r}, "
      f"model.adaptive {config.adaptive}. Set init_revive=false."
    )
  params = jax.tree.map(lambda leaf: np.array(leaf, np.float32), params)
  model = _Unrounded(config, crops)
  dead = model.dead(params)
  if not dead.size:
    raise ValueError(
      "no channel of y is dead in the model that the run starts from; set "
      "init_revive=false."
    )
  hidden = [min(config.N // 4, n) for n in _HIDDEN]
  dead = dead[: 4 * hidden[-1]]  # more could not differ
  before = model.error(params)
  ways = _least_missed(model, params, hidden, quiet)
  _release(params["base"], ways, dead)
  freed = model.error(params)

  _copy_steps(params["quantizer"], dead)
  qv, iqv = model.top_steps(params)[:, dead]
  step = np.sqrt(18 / (np.log(2) * lmbda)) / 127.5  # pixels lie in [-1, 1]
  taps = _transform(*model.covariances(params), (*hidden, dead.size))
  taps["analysis"][3] *= qv / step
  taps["synthesis"][3] *= step / iqv
  for part, way in ways.items():
    path = [np.arange(3), *way, dead]
    for stage, (near, far) in enumerate(zip(path[:-1], path[1:])):
      kernel = params["base"][part][f"conv_{stage}"]["kernel"]
      if part == "synthesis":
        kernel = kernel.swapaxes(2, 3)
      kernel[1:3, 1:3, near[:, None], far] = taps[part][stage]
  _predict_scales(model, params, dead)
  if config.selective:
    _select_by_scale(config, params, dead)
  return params, Revival(dead.size, before, freed, model.error(params))


class _Unrounded:
  """The model at its top level as an autoencoder, on some crops."""

  def __init__(self, config: ModelConfig, crops: np.ndarray):
    model = VariableRate(config)

    def features(module: VariableRate, z: jax.Array) -> jax.Array:
      return module.base.hyper_synthesis(z)[1]

    def run(params, x):
      def apply(*args, method):
        return model.apply({"params": params}, *args, method=method)

      y, z = apply(x, method="latents")
      qv, iqv = apply(method="steps")
      x_hat = apply(y / qv[-1] * iqv[-1], method="synthesis")
      return y, apply(jnp.round(z), method=features), x_hat - x

    self._crops = crops
    self._model = model
    self._run = jax.jit(run)
    self._error = jax.jit(
      lambda params, x: 127.5**2 * jnp.mean(run(params, x)[2] ** 2)
    )

  def top_steps(self, params: Any) -> np.ndarray:
    """QV and IQV of the top level, [2, M]."""
    tables = self._model.apply({"params": params}, method="steps")
    return np.array([table[-1] for table in tables])

  def batches(self, params: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """(x in [-1, 1], y, features, x_hat - x) of all crops, some at a time."""
    for i in range(0, len(self._crops), _AT_ONCE):
      x = _to_x(self._crops[i : i + _AT_ONCE])
      yield x, *map(np.asarray, self._run(params, x))

  def error(self, params: Any) -> float:
    """Mean squared error at 0..255."""
    errors = [np.mean(error**2) for *_, error in self.batches(params)]
    return 127.5**2 * float(np.mean(errors))

  def probe(self, params: Any) -> float:
    """The same on a sample that is soon worked off."""
    crops = self._crops[:: max(1, len(self._crops) // _PROBES)]
    x = _to_x(crops[:_PROBES, :_PROBE_SIDE, :_PROBE_SIDE])
    return float(self._error(params, x))

  def dead(self, params: Any) -> np.ndarray:
    """Channels of y that hardly ever reach a step of the top level."""
    squares = [np.mean(y**2, (0, 1, 2)) for _, y, _, _ in self.batches(params)]
    deviation = np.sqrt(np.mean(squares, 0)) / self.top_steps(params)[0]
    return np.flatnonzero(deviation < _DEAD)

  def covariances(self, params: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of blocks of pixels: x with x, the residual with x; [768, 768] each."""
    within = across = np.zeros(())
    for x, _, _, error in self.batches(params):
      x, residual = _blocks(x), _blocks(-error)
      within = within + np.float64(x.T @ x)
      across = across + np.float64(residual.T @ x)
    return within, across


def _to_x(crops: np.ndarray) -> np.ndarray:
  return crops.astype(np.float32) / 127.5 - 1


def _blocks(x: np.ndarray) -> np.ndarray:
  """[B, H, W, 3] to [n, 768]: rows, columns, colours of 16x16 pixels."""
  b, h, w, c = x.shape
  cut = x.reshape(b, h // _SIDE, _SIDE, w // _SIDE, _SIDE, c)
  return cut.transpose(0, 1, 3, 2, 4, 5).reshape(-1, _SIDE * _SIDE * c)


def _hidden_layers(base: Any, part: str, stage: int) -> tuple[Any, Any, Any]:
  """What gives, normalises and reads the hidden channels of a stage."""
  layers = base[part]
  if part == "analysis":
    gives, norm, reads = stage, f"gdn_{stage}", stage + 1
  else:
    gives, norm, reads = stage + 1, f"igdn_{stage}", stage
  return layers[f"conv_{gives}"], layers[norm], layers[f"conv_{reads}"]


def _least_missed(
  model: _Unrounded, params: Any, counts: list[int], quiet: bool
) -> dict[str, list[np.ndarray]]:
  """Hidden channels without which the error grows least, by part and stage."""
  bar = tqdm.tqdm(
    desc="revive", unit="channel", file=sys.stderr, disable=quiet,
    total=2 * len(counts) * params["base"]["analysis"]["conv_0"]["bias"].size,
  )  # fmt: skip

  def without(layer: dict[str, np.ndarray], channel: int) -> float:
    kept = {key: leaf[..., channel].copy() for key, leaf in layer.items()}
    for leaf in layer.values():
      leaf[..., channel] = 0
    error = model.probe(params)
    for key, leaf in layer.items():
      leaf[..., channel] = kept[key]
    bar.update()
    return error

  found: dict[str, list[np.ndarray]] = {"analysis": [], "synthesis": []}
  with bar:
    for part, stages in found.items():
      for stage, count in enumerate(counts):
        layer = _hidden_layers(params["base"], part, stage)[0]
        errors = [without(layer, c) for c in range(layer["bias"].size)]
        stages.append(np.sort(np.argsort(errors, kind="stable")[:count]))
  return found


def _release(
  base: Any, ways: dict[str, list[np.ndarray]], dead: np.ndarray
) -> None:
  """Cuts channels off from all others; their GDN becomes the identity."""
  for part, way in ways.items():
    for stage, channels in enumerate(way):
      gives, norm, reads = _hidden_layers(base, part, stage)
      gives["kernel"][..., channels] = 0
      gives["bias"][channels] = 0
      reads["kernel"][:, :, channels] = 0
      norm["beta"][channels] = 1
      norm["gamma"][channels] = norm["gamma"][:, channels] = _ZERO_GAMMA
  for layer in (base["analysis"]["conv_3"], base["hyper_synthesis"]["conv_2"]):
    layer["kernel"][..., dead] = 0
    layer["bias"][dead] = 0
  for layer in (base["synthesis"]["conv_3"], base["hyper_analysis"]["conv_0"]):
    layer["kernel"][:, :, dead] = 0


def _copy_steps(tables: dict[str, np.ndarray], dead: np.ndarray) -> None:
  """QV and IQV like those of a usual live channel, level by level."""
  for table in tables.values():
    live = np.delete(table, dead, axis=1)
    table[:, dead] = np.median(live, 1, keepdims=True)


def _with_ridge(matrix: np.ndarray) -> np.ndarray:
  return matrix + _RIDGE * np.trace(matrix) / len(matrix) * np.eye(len(matrix))


def _transform(
  xx: np.ndarray, rx: np.ndarray, widths: tuple[int, ...]
) -> dict[str, list[np.ndarray]]:
  """A linear transform of blocks, in four stages, that gives the residual.

  Each stage joins 2x2 neighbours and keeps the orthonormal directions in which
  the residual, as x predicts it, has most energy. The analysis' last one
  predicts: it is the regression of the residual's coefficients on what the
  stage before gives of x.

  Args:
    xx: covariance of x in the blocks, any scale, [768, 768].
    rx: that of the residual with x, likewise.
    widths: directions that each stage keeps; at most four times those before.

  Returns:
    Taps of `analysis` and `synthesis`, four of [2, 2, I, O] each, where I is
    the image's side in both.
  """
  xx = _with_ridge(xx)
  predicted = rx @ np.linalg.solve(xx, rx.T)
  stages = []
  cells, channels = _SIDE, 3
  for width in widths:
    half = cells // 2
    joined = predicted.reshape((half, 2, half, 2, channels) * 2)
    within = np.einsum("iajbcidjef->abcdef", joined)
    vectors = np.linalg.eigh(within.reshape((4 * channels,) * 2))[1]
    taps = vectors[:, ::-1][:, :width].reshape(2, 2, channels, width)
    eye = np.eye(half)
    basis = np.einsum("ik,jl,abco->iajbcklo", eye, eye, taps)
    basis = basis.reshape(cells * cells * channels, -1)
    if half == 1:
      regression = np.linalg.solve(xx, rx.T @ basis).reshape(taps.shape)
    stages.append(taps)
    xx, rx, predicted = (
      basis.T @ matrix @ basis for matrix in (xx, rx, predicted)
    )
    cells, channels = half, width
  return {"analysis": [*stages[:-1], regression], "synthesis": stages}


def _predict_scales(
  model: _Unrounded, params: Any, channels: np.ndarray
) -> None:
  """Fits scales of y to its magnitudes: the last layer's centre tap, ridge."""
  inner = across = np.zeros(())
  for _, y, features, _ in model.batches(params):
    inputs = features.reshape(-1, features.shape[-1])
    inputs = np.pad(inputs, ((0, 0), (0, 1)), constant_values=1)
    # A normal's deviation is sqrt(pi / 2) of its mean magnitude.
    scales = np.sqrt(np.pi / 2) * np.abs(y[..., channels])
    inner = inner + np.float64(inputs.T @ inputs)
    across = across + np.float64(inputs.T @ scales.reshape(len(inputs), -1))
  weights = np.linalg.solve(_with_ridge(inner), across)
  layer = params["base"]["hyper_synthesis"]["conv_2"]
  layer["kernel"][1, 1][:, channels] = weights[:-1]
  layer["bias"][channels] = weights[-1]


def _select_by_scale(
  config: ModelConfig, params: Any, channels: np.ndarray
) -> None:
  """Selects what is expected to deviate by `_WORTH` steps of its level.

  The importance map becomes linear in the predicted scale, and the curves put
  each level's threshold there. Without a curve a channel, all is selected.
  """
  head = params["selector"]["head"]
  if config.curves != "channel":
    head["kernel"][..., channels] = 0
    head["bias"][channels] = 0.5
    return
  layer = params["base"]["hyper_synthesis"]["conv_2"]
  steps = params["quantizer"]["qv"][:, channels]
  largest = steps.max(0)
  unit = _HIGHEST / (_WORTH * largest)
  head["kernel"][0, 0][:, channels] = unit * layer["kernel"][1, 1][:, channels]
  head["bias"][channels] = unit * layer["bias"][channels] - 0.5
  # im ** gamma passes model.mask_threshold where im passes this:
  threshold = _HIGHEST * steps / largest
  gamma = np.log(config.mask_threshold) / np.log(threshold)
  params["selector"]["gamma"][:, channels] = gamma
