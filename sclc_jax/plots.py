"""Pictures: masks over the qualities, and rate-distortion curves."""

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


def plot_rd(curves: dict[str, tuple], path: str | os.PathLike) -> None:
  """PSNR over bpp; the first curve is drawn bold."""
  plt = _pyplot()
  figure, axis = plt.subplots(figsize=(7, 5), layout="constrained")
  for i, (name, (bpp, psnr)) in enumerate(curves.items()):
    order = np.argsort(bpp)
    axis.plot(
      np.asarray(bpp)[order], np.asarray(psnr)[order], ".-", label=name,
      linewidth=2.5 if i == 0 else 1,
    )  # fmt: skip
  axis.set(xlabel="bits per pixel", ylabel="RGB PSNR (dB)", xlim=(0, 2.2))
  axis.grid(alpha=0.3)
  axis.legend(fontsize=7)
  figure.savefig(path, dpi=110)
  plt.close(figure)
