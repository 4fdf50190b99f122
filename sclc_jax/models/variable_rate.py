"""One model for every rate: base model, quantizer and selector together."""

from __future__ import annotations

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from sclc_jax.config import ModelConfig
from sclc_jax.models.hyperprior import Hyperprior
from sclc_jax.models.mean_scale import MeanScale
from sclc_jax.models.quantizer import AdaptiveQuantizer, unit_tables
from sclc_jax.models.selective import Selector, draw_mask, select
from sclc_jax.nn.bounds import straight_through
from sclc_jax.nn.fast_synthesis import FastSynthesis
from sclc_jax.nn.initial import initial_params, initial_shapes
from sclc_jax.nn.likelihoods import ScaleMixture, normal_likelihood, to_bits


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Shared:
  """What the levels of an image share in training.

  y is [B, h, w, M]; side and importance (None without the selector) are those
  of `VariableRate.prior`.
  """

  y: jax.Array
  side: jax.Array
  importance: jax.Array | None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LevelOutput:
  """What one quality level gives in training; all [B] but y_hat [B, h, w, M].

  `bits_y` are bits of the selected elements, `selected` the fraction of them.
  """

  y_hat: jax.Array
  bits_y: jax.Array
  selected: jax.Array


def build_base(config: ModelConfig) -> nn.Module:
  """The base model that a config names."""
  if not config.predicts_mean:
    return Hyperprior(config.N, config.M, config.init, config.conditional)
  order = config.base if config.has_context else ""
  return MeanScale(
    config.N, config.M, config.init, order, config.hyper_input,
    config.conditional,
  )  # fmt: skip


class VariableRate(nn.Module):
  """SCR around a base model; quantizer and selector are optional parts.

  Attributes:
    config: what is built.
    rounding: what stands for rounding in the training pass, see
      `config.StageConfig.rounding`.
    mask: which elements the training pass keeps, see `config.StageConfig.mask`.
  """

  config: ModelConfig
  rounding: str = "noise"
  mask: str = "drawn"

  def setup(self):
    cfg = self.config
    self.base = build_base(cfg)
    if cfg.density == "mixture":
      self.density = ScaleMixture()
    if cfg.adaptive:
      self.quantizer = AdaptiveQuantizer(
        cfg.levels, cfg.M, cfg.table_init, cfg.iqv
      )
    if cfg.selective:
      self.selector = Selector(
        cfg.levels, cfg.M, cfg.importance_bias, cfg.table_init, cfg.curves
      )
    if cfg.fast:
      self.fast_synthesis = FastSynthesis()

  def quantizer_tables(self) -> tuple[jax.Array, jax.Array]:
    """(QV, IQV), each [L, M]; ones without the quantizer."""
    if self.config.adaptive:
      return self.quantizer()
    return unit_tables(self.config.levels, self.config.M)

  def curves(self) -> jax.Array:
    """gamma [L, M] of inference: im ** gamma > 0.5 where y is coded.

    With another threshold t, im ** g > t is im ** (g log_t 0.5) > 0.5.
    """
    power = math.log(0.5) / math.log(self.config.mask_threshold)
    return power * self.selector.curves()

  def latents(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x [B, H, W, 3] in [-1, 1] to (y, z); does not round."""
    y = self.base.analysis(x)
    return y, self.base.hyper_analysis(y)

  def analysis(self, x: jax.Array) -> jax.Array:
    """x [B, H, W, 3] in [-1, 1] to y [B, H/16, W/16, M]."""
    return self.base.analysis(x)

  def hyper_analysis(self, y: jax.Array) -> jax.Array:
    """y to z [B, H/64, W/64, N]."""
    return self.base.hyper_analysis(y)

  def synthesis(self, y_hat: jax.Array, level: jax.Array) -> jax.Array:
    """y_hat to x_hat about [-1, 1]; does not clip.

    Args:
      y_hat: [B, h, w, M].
      level: that it was coded at, from 0, and between levels; one number, or
        what broadcasts to [B, h, w].
    """
    return self.base.synthesis(y_hat, self._condition(level))

  def fast(self, y_hat: jax.Array, level: jax.Array) -> jax.Array:
    """`synthesis` by the shallow one."""
    return self.fast_synthesis(y_hat, self._condition(level))

  def _condition(self, level: jax.Array) -> jax.Array:
    """-1 at the lowest level, 1 at the highest."""
    return 2 / (self.config.levels - 1) * jnp.asarray(level) - 1

  def prior(self, z: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """z to (side, importance), the float form; the codec has an exact one.

    `side` is the output of hyper_synthesis: the scale of the hyperprior base,
    else what `gaussian` of the base takes.
    """
    side, features = self.base.hyper_synthesis(z)
    if not self.config.selective:
      return side, None
    return side, self.selector.importance(features)

  def gaussian(
    self, side: jax.Array, y_hat: jax.Array
  ) -> tuple[jax.Array | None, jax.Array]:
    """(mean, scale) of y; the mean is None where it is zero.

    Args:
      side: from `prior`.
      y_hat: [B, h, w, M], read by the context model alone.
    """
    if self.config.has_context:
      return self.base.gaussian(side, y_hat)
    return self.base.gaussian(side)

  def z_likelihood(self, z: jax.Array) -> jax.Array:
    """Likelihood of each element of z."""
    return self.base.entropy_bottleneck(z)

  def y_likelihood(self, y: jax.Array, scale: jax.Array) -> jax.Array:
    """Likelihood of each element of y, less its mean, given its scale."""
    if self.config.density == "mixture":
      return self.density(y, scale)
    return normal_likelihood(y, scale)

  def y_mixture(self) -> tuple[jax.Array, jax.Array]:
    """(weights, multiples of the scale), each [K], of a `mixture` density."""
    return self.density.mixture()

  def __call__(
    self, x: jax.Array, level: jax.Array, keys: jax.Array
  ) -> tuple[jax.Array, jax.Array, LevelOutput]:
    """The training pass at one level: x_hat, bits of z, and that of `level`.

    x_hat is that of the shallow synthesis where there is one.
    """
    bits_z, shared = self.shared(x, keys)
    out = self.level(shared, level, keys, 0)
    y_hat = out.y_hat.astype(x.dtype)
    at = level[:, None, None]
    x_hat = self.synthesis(y_hat, at)  # by which it gets its parameters
    if self.config.fast:
      x_hat = self.fast(y_hat, at)
    return x_hat, bits_z, out

  def shared(self, x: jax.Array, keys: jax.Array) -> tuple[jax.Array, Shared]:
    """What precedes the levels (PAPER: step 1).

    Args:
      x: [B, H, W, 3] in [-1, 1].
      keys: [B] random keys, one per example, so that the noise does not
        depend on how the batch is spread over devices.

    Returns:
      bits of z, [B], and what `level` takes.
    """
    y, z = self.latents(x)
    noise = _uniform(keys, 0, z.shape[1:]) - 0.5
    coded, z_hat = self._quantized(z, noise)
    bits_z = to_bits(self.z_likelihood(coded)).sum((1, 2, 3))
    return bits_z, Shared(y, *self.prior(z_hat))

  def _quantized(self, values, noise):
    """(what the rate reads, what the decoder reads) in place of symbols.

    Args:
      values: of y / QV or z, before rounding.
      noise: U(-1/2, 1/2), of their shape.
    """
    values = values.astype(jnp.float32)  # transforms may run in bfloat16
    noisy = values + noise
    if self.rounding == "noise":
      return noisy, noisy
    rounded = straight_through(jnp.round(values), values)
    return (noisy if self.rounding == "mixed" else rounded), rounded

  def _rdoq(self, nearest, values, scale):
    """Symbols that the encoder codes (`codec.rounding`), by RDOQ.

    Args:
      nearest: integers nearest to `values`.
      values: of y / QV, less the mean; the symbols have their gradient.
      scale: of `values`.
    """
    smaller = nearest - jnp.sign(nearest)
    bits, fewer = (
      to_bits(self.y_likelihood(symbols, scale))
      for symbols in (nearest, smaller)
    )
    worse = (values - smaller) ** 2 - (values - nearest) ** 2
    taken = worse < self.config.rate_weight * (bits - fewer)
    taken &= jnp.abs(values) < jnp.abs(nearest)
    return straight_through(jnp.where(taken, smaller, nearest), values)

  def level(
    self, shared: Shared, level: jax.Array, keys: jax.Array, k: int | jax.Array
  ) -> LevelOutput:
    """One level of each image (PAPER: steps 2 and 3).

    Args:
      shared: from `shared`.
      level: [B] int, 0-based.
      keys: as there.
      k: number of this level among those of the images; it draws other noise.
    """
    y, side, importance = shared.y, shared.side, shared.importance
    qv, iqv = (
      table[level][:, None, None] for table in self.quantizer_tables()
    )
    normal = y / qv
    mask, selected = None, jnp.ones(y.shape[:1])
    if importance is not None:
      if self.mask == "inference":
        gamma = self.curves()[level][:, None, None]
        mask = select(importance, gamma).astype(importance.dtype)
      else:
        gamma = self.selector.curves()[level][:, None, None]
        draw = _uniform(keys, 2 * k + 2, y.shape[1:])
        mask = draw_mask(importance, gamma, draw)
      selected = mask.mean((1, 2, 3))
    # A context knows rounded elements one after another only: it sees noise.
    noise = _uniform(keys, 2 * k + 1, y.shape[1:]) - 0.5
    mean, scale = self._gaussian(side, normal + noise, mask, qv, iqv)
    offset = 0.0 if mean is None else mean / qv
    coded, known = self._quantized(normal - offset, noise)
    if self.rounding == "coded":
      coded = known = self._rdoq(known, normal - offset, scale / qv)
    bits = to_bits(self.y_likelihood(coded, scale / qv))
    if mask is not None:
      bits = bits * mask
    y_hat = self._fill(known + offset, mask, mean, qv) * iqv
    return LevelOutput(y_hat, bits.sum((1, 2, 3)), selected)

  def _fill(self, known, mask, mean, qv):
    """`known`, with what the decoder puts where nothing is selected."""
    if mask is None:
      return known
    filled = known * mask
    if mean is None or self.config.unselected == "zero":
      return filled
    return filled + (1 - mask) * mean / qv

  def _gaussian(self, side, y_tilde, mask, qv, iqv):
    """(mean, scale) as the decoder will have them, but for the noise.

    Unselected elements enter the context with their means, which depend on
    the means before them. Training takes these from a first pass that has
    zeros there, and lets no gradient through it.
    """
    known = y_tilde if mask is None else y_tilde * mask
    mean, scale = self.gaussian(side, known * iqv)
    if (
      mask is None
      or self.config.unselected == "zero"
      or not self.config.has_context
    ):
      return mean, scale
    first = jax.lax.stop_gradient(mean)
    known = self._fill(y_tilde, mask, first, qv)
    return self.gaussian(side, known * iqv)


def _uniform(keys: jax.Array, stream: int | jax.Array, shape: tuple[int, ...]):
  """U(0, 1) of [B, *shape], each example from its own key.

  Drawn flat: the same numbers, but JAX 0.12 compiles a draw of three axes in
  2.1 s for a CPU, a flat one in 0.25 s.
  """

  def draw(key):
    key = jax.random.fold_in(key, stream)
    return jax.random.uniform(key, (math.prod(shape),))

  return jax.vmap(draw)(keys).reshape(-1, *shape)


def init_params(config: ModelConfig, seed: int):
  """Fresh float32 parameters of the model, a pure function of the seed."""
  return initial_params(VariableRate(config), seed, *_example())


def params_shapes(config: ModelConfig):
  """Shapes of the model's parameters, as of `jax.eval_shape`."""
  return initial_shapes(VariableRate(config), *_example())


def _example() -> tuple[jax.ShapeDtypeStruct, ...]:
  """What `VariableRate.__call__` takes, as shapes."""
  return (
    jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32),
    jax.ShapeDtypeStruct((1,), jnp.int32),
    jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1)),
  )
