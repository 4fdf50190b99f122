"""A small picture straight from y_hat: one layer of the synthesis, then a map.

The first layer of the synthesis, with its IGDN, gives features at an eighth of
the picture's sides; of a wide layer 96 channels are enough. A linear map, which
`export.preview_fit` makes, takes them to 4x4 pixels each: half the picture's
sides. The map to a fourth or an eighth is the average of these pixels' maps.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sclc_jax.codec.model.codec_model import CodecModel
from sclc_jax.codec.pixels.picture import (
  crop_into,
  empty_picture,
  with_alpha,
)
from sclc_jax.codec.pixels.transforms import MARGINS, TILE
from sclc_jax.codec.stream import bitstream, sections
from sclc_jax.codec.tiles import scaled, tiles
from sclc_jax.nn.conv import conv
from sclc_jax.nn.gdn import GDN
from sclc_jax.nn.pixels import to_pixels
from sclc_jax.nn.transforms import Conv

SCALES = (8, 4, 2)
SIDE = 4  # of the pixels that the map gives a position of the features
REACH = 3  # of the map, positions of the features


def check_preview(model: CodecModel, scale: int) -> None:
  """Raises a ValueError where a model has no preview of a scale."""
  if scale not in SCALES:
    raise ValueError(f"the scale of a preview is 8, 4 or 2, got {scale}.")
  if model.preview is None:
    raise ValueError(
      f"model {model.fingerprint.hex()} has no preview; give it one with 'sclc "
      "export --model M.sclcm -o N.sclcm --fit-preview PHOTOS', or decode the "
      "whole picture."
    )


@jax.jit
def features(params, channels: np.ndarray, y_hat: jax.Array) -> jax.Array:
  """What the map reads.

  Args:
    params: of the synthesis.
    channels: those that are read, int [n]; the IGDN knows no others.
    y_hat: [B, h, w, M].

  Returns:
    [B, 2h, 2w, n].
  """
  conv_3, igdn_2 = params["conv_3"], params["igdn_2"]
  kernel, bias = conv_3["kernel"][..., channels], conv_3["bias"][channels]
  gamma, beta = igdn_2["gamma"][channels], igdn_2["beta"][channels]
  layer = {"kernel": kernel, "bias": bias}
  x = Conv(bias.size, len(kernel), "up").apply({"params": layer}, y_hat)
  layer = {"gamma": gamma[:, channels], "beta": beta}
  return GDN(True).apply({"params": layer}, x)


def map_for(preview: np.ndarray, scale: int) -> np.ndarray:
  """The map to the 8/scale x 8/scale pixels of a position.

  Args:
    preview: map of a model, [REACH * REACH * n + 1, SIDE * SIDE * 3].
    scale: one of SCALES.

  Returns:
    [REACH * REACH * n + 1, (8/scale)**2 * 3].
  """
  n = 8 // scale
  pixels = preview.reshape(-1, n, SIDE // n, n, SIDE // n, 3)
  return pixels.mean((2, 4)).reshape(len(preview), -1)


@functools.partial(jax.jit, static_argnums=4)
def _run(params, channels, kernel, y_hat, n):
  x = features(params, channels, y_hat)
  x = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "edge")
  taps = kernel[:-1].reshape(REACH, REACH, x.shape[-1], -1)
  x = conv(x, taps)[:, 1:-1, 1:-1] + kernel[-1]
  batch, rows, columns, _ = x.shape
  x = x.reshape(batch, rows, columns, n, n, 3).swapaxes(2, 3)
  x = to_pixels(x.reshape(batch, rows * n, columns * n, 3))
  return jnp.round(jnp.clip(x, 0, 255)).astype(jnp.uint8)


def preview(
  model: CodecModel,
  params,
  y_hat: np.ndarray,
  file: bitstream.File,
  scale: int,
) -> np.ndarray:
  """A picture of about 1/scale of the sides.

  Args:
    model: one that has a preview.
    params: of the model, on the device.
    y_hat: float32 [h, w, M].
    file: whose y_hat it is; gives the size, the kind of colour and the alpha.
    scale: 8, 4 or 2.

  Returns:
    uint8 [ceil(H / scale), ceil(W / scale), channels of the picture].
  """
  height, width = -(-file.height // scale), -(-file.width // scale)
  image = empty_picture(height, width, file.colour)
  channels = model.preview.channels
  kernel = jnp.asarray(map_for(model.preview.map, scale))
  for tile in tiles(*y_hat.shape[:2], TILE, MARGINS["synthesis"]):
    part = y_hat[tile.source][None]
    synthesis = params["base"]["synthesis"]
    pixels = _run(synthesis, channels, kernel, part, 8 // scale)
    inner, target = (
      tuple(scaled(part, 16 // scale) for part in parts)
      for parts in (tile.inner, tile.target)
    )
    crop_into(image[target], np.asarray(pixels)[0][inner])
  alpha = sections.read_alpha(file)
  if alpha is not None:
    alpha = smaller_alpha(alpha, scale)
  return with_alpha(image, alpha)


def smaller_alpha(alpha: np.ndarray, scale: int) -> np.ndarray:
  """Averages of squares of a plane [H, W], whose edges are repeated."""
  pad = [(0, -side % scale) for side in alpha.shape]
  rows, columns = (-(-side // scale) for side in alpha.shape)
  squares = np.pad(alpha, pad, "edge").reshape(rows, scale, columns, scale)
  return np.round(squares.mean((1, 3), np.float32)).astype(np.uint8)
