"""Figures; all arguments are data, all output is PNG."""

from __future__ import annotations

import io
import os

import numpy as np

from sclc_jax.files import write_whole


def _pyplot():
  import matplotlib

  matplotlib.use("Agg")
  matplotlib.rcParams["text.parse_math"] = False  # names may hold a $
  import matplotlib.pyplot as plt

  return plt


_MEANING = {
  "importance": "y is the latent: for every 16x16 pixels one number in each "
  "channel.\nIts importance, between 0 and 1, is computed from z, the hyper "
  "latent, by encoder and decoder alike.",
  "masks": "y is the latent: for every 16x16 pixels one number in each "
  "channel. A quality bends the importance by a curve of each channel;\nwhere "
  "it is then above 0.5, the mask is 1 and the number is in the file.",
  "bits": "y is the latent: for every 16x16 pixels one number in each channel. "
  "z, the hyper latent, has one for every 64x64 pixels and channel;\nit says "
  "how large y is likely to be, and which numbers of y are coded.",
  "crops": "Squares where our file spends most bits, an average number, and "
  "fewest. All files have at most our size.",
}


def _save(figure, path: str | os.PathLike, caption: str = "") -> None:
  """Writes the figure, whole or not at all, and closes it."""
  if caption:
    figure.supxlabel(caption, fontsize=8, color="dimgray")
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=110)
  _pyplot().close(figure)
  write_whole(path, buffer.getvalue())


def plot_masks(panels, path: str | os.PathLike) -> None:
  """Reconstructions above, and below each the share of channels coded.

  Args:
    panels: (title, uint8 image, mask [h, w, M] or None) each.
    path: PNG to write.
  """
  plt = _pyplot()
  figure, axes = plt.subplots(
    2, len(panels), figsize=(3.2 * len(panels), 5), layout="constrained"
  )
  shown = None
  for (title, image, mask), (top, bottom) in zip(panels, axes.T):
    top.imshow(image, cmap="gray")
    top.set_title(title, fontsize=9)
    if mask is not None:
      shown = bottom.imshow(mask.mean(-1), vmin=0, vmax=1)
      bottom.set_title(f"{100 * mask.mean():.1f} % of y coded", fontsize=9)
    for axis in (top, bottom):
      axis.axis("off")
  if shown is not None:
    figure.colorbar(shown, ax=axes[1], label="share of channels coded")
  _save(figure, path)


def plot_rd(
  curves: dict[str, tuple],
  label: str,
  path: str | os.PathLike,
) -> None:
  """A metric over bpp; the first curve is drawn bold and sets the range.

  Args:
    curves: (bpp, values) by name.
    label: of the metric, with its unit.
    path: PNG to write.
  """
  plt = _pyplot()
  wide = len(curves) > 8
  figure, axis = plt.subplots(
    figsize=(10 if wide else 7, 6 if wide else 5), layout="constrained"
  )
  colours = plt.get_cmap("tab10").colors
  for i, (name, (bpp, values)) in enumerate(curves.items()):
    order = np.argsort(bpp)
    axis.plot(
      np.asarray(bpp)[order], np.asarray(values)[order],
      (".-", ".--", ".:")[i // len(colours) % 3],
      color=colours[i % len(colours)], label=name, markersize=4,
      linewidth=3 if i == 0 else 1.2, zorder=3 if i == 0 else 2,
    )  # fmt: skip
  bpp, values = next(iter(curves.values()))
  low, high = np.min(values), np.max(values)
  axis.set(
    xlabel="bits per pixel", ylabel=label, xlim=(0, 1.15 * np.max(bpp)),
    ylim=(low - 0.25 * (high - low), high + 0.35 * (high - low)),
  )  # fmt: skip
  axis.grid(alpha=0.3)
  if wide:
    figure.legend(fontsize=7, loc="outside right center")
  else:
    axis.legend(fontsize=8, loc="lower right")
  _save(figure, path)


def plot_matrix(
  names: list[str],
  matrix: list[list[tuple[float, bool]]],
  title: str,
  path: str | os.PathLike,
) -> None:
  """BD-rates of all curves against all, in percent, as a coloured table.

  Args:
    names: of the curves.
    matrix: [row][column], (percent, whether the curves share enough range).
    title: of the figure.
    path: PNG to write.
  """
  plt = _pyplot()
  side = 2.5 + 0.45 * len(names)
  figure, axis = plt.subplots(figsize=(side + 1, side), layout="constrained")
  values = np.array([[value for value, _ in row] for row in matrix])
  shown = axis.imshow(
    np.ma.masked_invalid(values), cmap="RdYlGn_r", vmin=-60, vmax=60
  )
  for i, row in enumerate(matrix):
    for j, (value, fair) in enumerate(row):
      if i != j and np.isfinite(value):
        text = f"{value:+.0f}" if fair else f"({value:+.0f})"
        colour = "white" if abs(value) > 45 else "black"
        axis.text(j, i, text, ha="center", va="center", fontsize=7,
                  color=colour)  # fmt: skip
  axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
  axis.set_yticks(range(len(names)), names, fontsize=7)
  axis.set_title(f"{title}, %; green is fewer bits", fontsize=9)
  figure.colorbar(shown, label="BD-rate (%)", shrink=0.7, extend="both")
  _save(figure, path)


def plot_continuous(
  models: list[tuple[str, list[dict]]], path: str | os.PathLike
) -> None:
  """bpp, PSNR and selected fraction over the quality.

  Args:
    models: (name, rows with quality, bpp, psnr_db, selected_fraction) each.
    path: PNG to write.
  """
  plt = _pyplot()
  figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
  labels = {
    "bpp": "bits per pixel (log scale)",
    "psnr_db": "RGB PSNR (dB)",
    "selected_fraction": "share of y selected",
  }
  for axis, (key, label) in zip(axes, labels.items()):
    for name, rows in models:
      quality = [row["quality"] for row in rows]
      axis.plot(quality, [row[key] for row in rows], ".-", label=name,
                markersize=4, linewidth=1)  # fmt: skip
    axis.set(xlabel="quality", ylabel=label)
    axis.grid(alpha=0.3, which="both")
  axes[0].set_yscale("log")
  axes[0].yaxis.set_major_formatter("{x:g}")
  axes[0].yaxis.set_minor_formatter("{x:g}")
  axes[0].tick_params(which="both", labelsize=8)
  axes[0].legend(fontsize=8)
  _save(figure, path)


def _telling_channels(masks: np.ndarray) -> list[int]:
  """Of masks [L, h, w, M] the channel that varies most, and one unlike it."""
  values = masks.reshape(-1, masks.shape[-1]).astype(float)
  deviation = values.std(0)
  first = int(np.argmax(deviation))
  if values.shape[1] == 1:
    return [first]
  values = (values - values.mean(0)) / np.maximum(deviation, 1e-9)
  likeness = np.abs(values.T @ values[:, first]) / values.shape[0]
  unlike = deviation * (1 - likeness)
  unlike[first] = -1
  return [first, int(np.argmax(unlike))]


def plot_levels(
  image: np.ndarray,
  name: str,
  columns: list[tuple[str, np.ndarray, np.ndarray]],
  path: str | os.PathLike,
) -> None:
  """Importance and masks of one photo over the levels (SCR, Fig. 1 and 5).

  Under the photo: the adjusted importance map and the mask, both averaged over
  the channels, and the masks of two channels that vary much and differ.

  Args:
    image: uint8 [H, W, 3] or [H, W].
    name: of the photo.
    columns: a level each: title, adjusted importance [h, w, M], mask.
    path: PNG to write.
  """
  plt = _pyplot()
  channels = _telling_channels(np.stack([mask for _, _, mask in columns]))
  ratio = image.shape[0] / image.shape[1]
  width = 1 + len(columns)
  figure, axes = plt.subplots(
    2 + len(channels), width, layout="constrained", squeeze=False,
    figsize=(2 * width, (2 + len(channels)) * (1.8 * ratio + 0.25)),
  )  # fmt: skip
  for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
    axis.set_frame_on(False)
  axes[0, 0].imshow(image, cmap="gray")
  axes[0, 0].set_title(name, fontsize=9)
  text = {
    "ha": "right", "va": "center", "x": 0.97, "y": 0.5, "fontsize": 9,
  }  # fmt: skip
  axes[0, 1].set_ylabel("adjusted\nimportance", fontsize=8)
  axes[1, 0].text(s="mask:\nshare of channels\nthat are coded", **text)
  for row, channel in enumerate(channels, 2):
    axes[row, 0].text(s=f"mask of\nchannel {channel}", **text)
  shown = None
  for axis, (title, adjusted, mask) in zip(axes.T[1:], columns):
    shown = axis[0].imshow(adjusted.mean(-1), vmin=0, vmax=1)
    axis[0].set_title(title, fontsize=9)
    axis[1].imshow(mask.mean(-1), vmin=0, vmax=1)
    axis[1].set_title(f"{100 * mask.mean():.1f} % of y", fontsize=8)
    for row, channel in enumerate(channels, 2):
      axis[row].imshow(mask[..., channel], vmin=0, vmax=1, cmap="gray")
  figure.colorbar(shown, ax=axes[:2], label="mean over channels", shrink=0.9)
  _save(figure, path, _MEANING["masks"])


def _bare(axis, title: str = "") -> None:
  axis.set(xticks=[], yticks=[])
  axis.set_title(title, fontsize=9)


def _extent(stride: int, grid: np.ndarray):
  """Places a map of `stride`-pixel cells on the photo, padding included."""
  height, width = (n * stride - 0.5 for n in grid.shape)
  return (-0.5, width, height, -0.5)


def plot_importance(
  image: np.ndarray, importance: np.ndarray, path: str | os.PathLike
) -> None:
  """The importance map over the photo, and how important the channels are.

  Args:
    image: uint8 [H, W, 3] or [H, W].
    importance: [h, w, M] in [0, 1], of 16x16 pixels each.
    path: PNG to write.
  """
  plt = _pyplot()
  ratio = image.shape[0] / image.shape[1]
  figure, (photo, map_, bars) = plt.subplots(
    1, 3, figsize=(14, 4.4 * max(ratio, 0.6) + 0.6), layout="constrained"
  )
  photo.imshow(image, cmap="gray")
  _bare(photo, "photo")
  mean = importance.mean(-1)
  shown = map_.imshow(mean, extent=_extent(16, mean))
  map_.set(xlim=photo.get_xlim(), ylim=photo.get_ylim())
  _bare(map_, "importance, the same for every quality")
  figure.colorbar(shown, ax=map_, label="mean over channels", shrink=0.8)
  channels = np.sort(importance.mean((0, 1)))[::-1]
  bars.fill_between(range(channels.size), channels, step="mid", alpha=0.7)
  bars.axhline(0.5, color="black", linewidth=1, linestyle=":")
  bars.set(
    xlabel="channels of y, most important first", ylim=(0, 1.02),
    ylabel="importance, mean over the photo", xlim=(0, channels.size - 1),
  )  # fmt: skip
  bars.set_title("dotted: what is coded where no curve bends it lies above",
                 fontsize=9)  # fmt: skip
  _save(figure, path, _MEANING["importance"])


def plot_bits(
  image: np.ndarray,
  y_bits: np.ndarray,
  z_bits: np.ndarray,
  channels: np.ndarray,
  title: str,
  path: str | os.PathLike,
) -> None:
  """Heat maps of the bits of y and z over the photo, and bits a channel.

  Args:
    image: uint8 [H, W, 3] or [H, W].
    y_bits: [h, w], of 16x16 pixels each.
    z_bits: [h/4, w/4], of 64x64 pixels each.
    channels: [M], bits of each channel of y.
    title: of the figure.
    path: PNG to write.
  """
  plt = _pyplot()
  ratio = image.shape[0] / image.shape[1]
  figure, axes = plt.subplots(
    2, 2, figsize=(12, 2 * (5 * max(ratio, 0.6) + 0.5)), layout="constrained"
  )
  figure.suptitle(title, fontsize=11)
  photo, y_map, z_map, bars = axes.flat
  photo.imshow(image, cmap="gray")
  _bare(photo, "photo")
  for axis, bits, stride, name in (
    (y_map, y_bits, 16, "y"), (z_map, z_bits, 64, "z")
  ):  # fmt: skip
    shown = axis.imshow(
      bits / stride**2, extent=_extent(stride, bits), cmap="inferno",
      vmin=0,
    )  # fmt: skip
    axis.set(xlim=photo.get_xlim(), ylim=photo.get_ylim())
    _bare(axis, f"{name}: {bits.sum() / 8:.0f} bytes, one value every "
                f"{stride}x{stride} pixels")  # fmt: skip
    figure.colorbar(shown, ax=axis, label="bits per pixel", shrink=0.85)
  share = 100 * np.sort(channels)[::-1] / max(channels.sum(), 1)
  bars.fill_between(range(share.size), share, step="mid", alpha=0.7)
  half = int(np.searchsorted(np.cumsum(share), 50)) + 1
  bars.set(
    xlabel="channels of y, most expensive first", xlim=(0, share.size - 1),
    ylabel="share of the bits of y (%)", ylim=(0, None),
  )  # fmt: skip
  bars.set_title(f"{half} of {share.size} channels take half of the bits",
                 fontsize=9)  # fmt: skip
  _save(figure, path, _MEANING["bits"])


def plot_pictures(
  pictures: list[tuple[str, np.ndarray]], path: str | os.PathLike
) -> None:
  """Whole pictures side by side.

  Args:
    pictures: (title, uint8 image) each, all of one size.
    path: PNG to write.
  """
  height, width = pictures[0][1].shape[:2]
  size = 7 * len(pictures), 7 * height / width + 0.4
  figure, axes = _pyplot().subplots(
    1, len(pictures), figsize=size, layout="constrained", squeeze=False
  )
  for axis, (title, picture) in zip(axes[0], pictures):
    axis.imshow(picture, cmap="gray")
    _bare(axis, title)
  _save(figure, path)


def crop_places(
  bits: np.ndarray, shape: tuple[int, int], size: int
) -> list[tuple[int, int]]:
  """Top left corners of an expensive, a medium and a cheap square.

  Args:
    bits: [h, w], of 16x16 pixels each.
    shape: height and width of the photo.
    size: side of the squares, pixels.

  Returns:
    At most 3 different corners (row, column), the expensive one first.
  """
  side = max(1, size // 16)
  corners = [
    (min(i * 16, max(shape[0] - size, 0)), min(j * 16, max(shape[1] - size, 0)))
    for i in range(0, max(1, bits.shape[0] - side + 1), max(1, side // 2))
    for j in range(0, max(1, bits.shape[1] - side + 1), max(1, side // 2))
  ]
  corners = list(dict.fromkeys(corners))

  def spent(corner):
    row, column = (value // 16 for value in corner)
    return bits[row : row + side, column : column + side].sum()

  corners.sort(key=spent, reverse=True)
  return list(
    dict.fromkeys(corners[i] for i in (0, len(corners) // 2, -1))
  )


def plot_crops(
  pictures: list[tuple[str, np.ndarray]],
  bits: np.ndarray,
  path: str | os.PathLike,
  size: int = 160,
) -> None:
  """The same crops of several pictures side by side, enlarged without blur.

  Args:
    pictures: (title, uint8 image) each, all of one size.
    bits: [h, w], bits of 16x16 pixels each: crops are where most are
      spent, where fewest are, and one in between.
    path: PNG to write.
    size: side of the crops, pixels.
  """
  plt = _pyplot()
  image = pictures[0][1]
  size = min(size, *image.shape[:2])
  places = crop_places(bits, image.shape[:2], size)
  figure, axes = plt.subplots(
    len(places), len(pictures), layout="constrained", squeeze=False,
    figsize=(4 * len(pictures), 4 * len(places) + 0.3),
  )  # fmt: skip
  names = ("most bits", "medium", "fewest bits")
  for row, (top, left) in enumerate(places):
    for axis, (title, picture) in zip(axes[row], pictures):
      axis.imshow(
        picture[top : top + size, left : left + size], cmap="gray",
        interpolation="nearest",
      )  # fmt: skip
      _bare(axis, title if row == 0 else "")
    axes[row, 0].set_ylabel(
      f"{names[row]}: {size}x{size} pixels at ({left}, {top})", fontsize=8
    )
  _save(figure, path, _MEANING["crops"])
