"""Figures; all arguments are data, all output is PNG."""

from __future__ import annotations

import os

import numpy as np


def _pyplot():
  import matplotlib

  matplotlib.use("Agg")
  import matplotlib.pyplot as plt

  return plt


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
  figure.savefig(path, dpi=110)
  plt.close(figure)


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
  figure.savefig(path, dpi=110)
  plt.close(figure)


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
  figure.savefig(path, dpi=110)
  plt.close(figure)


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
  figure.savefig(path, dpi=110)
  plt.close(figure)


def plot_levels(
  image: np.ndarray,
  name: str,
  columns: list[tuple[str, np.ndarray, np.ndarray]],
  path: str | os.PathLike,
) -> None:
  """Importance and masks of one photo over the levels (SCR, Fig. 1 and 5).

  Under the photo: the adjusted importance map and the mask, both averaged over
  the channels, and the masks of the two channels that vary most.

  Args:
    image: uint8 [H, W, 3] or [H, W].
    name: of the photo.
    columns: a level each: title, adjusted importance [h, w, M], mask.
    path: PNG to write.
  """
  plt = _pyplot()
  variance = np.mean([mask.std((0, 1)) for _, _, mask in columns], 0)
  channels = np.argsort(-variance, kind="stable")[:2]
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
  figure.savefig(path, dpi=110)
  plt.close(figure)
