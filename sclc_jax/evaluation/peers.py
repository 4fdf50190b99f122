"""JPEG, WebP, AVIF and JPEG XL, measured on the same images.

Pillow codes them all. JPEG XL needs the plugin that `pip install '.[report]'`
adds.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib
import importlib.metadata
import io
import os
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tqdm

from sclc_jax.evaluation.curves import Curve, make_curve
from sclc_jax.evaluation.measure import (
  Coding,
  Scores,
  image_names,
  measured,
  write_csv,
)
from sclc_jax.files import is_there, open_text
from sclc_jax.images import MAX_PIXELS, load_image

COLUMNS = (
  "codec", "version", "setting", "image", "pixels_crc", "bytes", "bpp",
  "psnr_db", "ms_ssim", "encode_s", "decode_s",
)  # fmt: skip
_KEY = ("codec", "version", "setting", "pixels_crc")


@dataclasses.dataclass(frozen=True)
class Peer:
  """A codec as Pillow offers it.

  Attributes:
    name: with how it is used.
    kind: Pillow's name of the format.
    settings: values of Pillow's `quality`, from few bits to many.
    options: what else is given to Pillow.
    package: what codes it.
    module: what has to be imported to register it, if anything.
    remedy: how to install it.
  """

  name: str
  kind: str
  settings: tuple[int, ...]
  options: dict[str, Any]
  package: str = "pillow"
  module: str = ""
  remedy: str = "pip install --upgrade pillow"

  @property
  def version(self) -> str:
    """Values of another version are measured again."""
    return f"{self.package} {importlib.metadata.version(self.package)}"

  def installed(self) -> bool:
    """Whether Pillow can write it here."""
    from PIL import Image

    try:
      if self.module:
        importlib.import_module(self.module)
    except ImportError:
      return False
    Image.init()
    return self.kind in Image.SAVE

  def encode(self, image: np.ndarray, setting: int) -> bytes:
    """uint8 [H, W, 3] or [H, W] to a file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(
      buffer, self.kind, quality=setting, **self.options
    )
    return buffer.getvalue()

  def decode(self, data: bytes, gray: bool) -> np.ndarray:
    """A file to uint8 [H, W, 3], or [H, W] if gray."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
      return np.asarray(image.convert("L" if gray else "RGB"))


JPEG = Peer(
  "jpeg (Pillow, 4:2:0, here)", "JPEG", (5, 10, 20, 40, 60, 80, 90, 95),
  {"optimize": True, "subsampling": 2},
)  # fmt: skip
AVIF = Peer(
  "avif (Pillow, 4:2:0, speed 6, here)", "AVIF",
  (10, 20, 35, 50, 60, 70, 80, 90), {"speed": 6},
)  # fmt: skip
JPEG_XL = Peer(
  "jpeg-xl (effort 7, here)", "JXL", (5, 15, 30, 50, 70, 80, 90, 95),
  {"effort": 7}, "pillow-jxl-plugin", "pillow_jxl",
  "pip install '.[report]'",
)  # fmt: skip
PEERS = (
  JPEG,
  Peer("webp (Pillow, method 6, here)", "WEBP",
       (1, 5, 20, 50, 75, 85, 93, 98), {"method": 6}),
  AVIF,
  JPEG_XL,
)  # fmt: skip


def measure_peers(
  peers: Iterable[Peer],
  paths: Iterable[str | os.PathLike],
  cache: str | os.PathLike | None = None,
  quiet: bool = False,
  max_pixels: int = MAX_PIXELS,
  scores: Scores | None = None,
) -> list[dict]:
  """Codes every image with every peer at every setting.

  Args:
    peers: installed ones.
    paths: of the images.
    cache: a CSV that this function's caller wrote; rows of the same codec,
      version, setting and pixels are taken from it.
    quiet: no progress bar.
    max_pixels: larger images are refused before they are decoded.
    scores: further metrics; a row that lacks one is measured again.

  Returns:
    Rows with the keys of COLUMNS, and the further metrics.
  """
  scores = scores or {}
  columns = (*COLUMNS, *scores)
  known = _read(cache, columns)
  peers, paths = list(peers), list(paths)
  bar = tqdm.tqdm(
    total=len(paths) * sum(len(peer.settings) for peer in peers),
    disable=quiet, file=sys.stderr, desc="peers",
  )  # fmt: skip
  kept = []

  def codings() -> Iterator[Coding]:
    for path, name in zip(paths, image_names(paths)):
      image = load_image(path, max_pixels)
      crc = f"{zlib.crc32(image.tobytes()):08x}-{image.shape[1]}"
      for peer in peers:
        for setting in peer.settings:
          row = {
            "codec": peer.name, "version": peer.version, "setting": setting,
            "image": name, "pixels_crc": crc,
          }  # fmt: skip
          old = known.get(tuple(str(row[key]) for key in _KEY))
          if old is not None:
            kept.append(old | row)
          else:
            start = time.perf_counter()
            data = peer.encode(image, setting)
            middle = time.perf_counter()
            x_hat = peer.decode(data, image.ndim == 2)
            row["decode_s"] = time.perf_counter() - middle
            row["encode_s"] = middle - start
            row["bytes"] = len(data)
            yield row, image, x_hat
          bar.update()

  with bar:
    rows = kept + measured(codings(), scores)
  rows.sort(key=lambda row: (row["codec"], row["setting"], row["image"]))
  if cache is not None:
    write_csv(rows, cache, columns)
  return rows


def _read(path, columns: Sequence[str]) -> dict[tuple, dict]:
  """Rows of an earlier run that have all columns, by what they depend on."""
  if path is None or not is_there(path):
    return {}
  with open_text(path) as file:
    rows = list(csv.DictReader(file))
  head = set(rows[0]) if rows else set()
  if head >= set(COLUMNS) and not head >= set(columns):
    return {}
  numbers = columns[columns.index("bytes") :]
  try:
    return {
      tuple(row[key] for key in _KEY): row
      | {key: float(row[key]) for key in numbers}
      for row in rows
    }
  except (KeyError, ValueError, TypeError) as error:
    raise ValueError(
      f"{path} is not a table of measured codecs ({error!r}); remove it."
    ) from None


def peer_means(rows: list[dict]) -> dict[str, list[dict]]:
  """For each codec a row a setting: means of the rates, metrics and times."""
  means: dict[str, list[dict]] = {}
  texts = ("codec", "version", "setting", "image", "pixels_crc")
  for name, setting in dict.fromkeys((r["codec"], r["setting"]) for r in rows):
    group = [r for r in rows if (r["codec"], r["setting"]) == (name, setting)]
    mean = {"setting": setting}
    for key in group[0].keys() - set(texts):
      mean[key] = float(np.mean([row[key] for row in group]))
    means.setdefault(name, []).append(mean)
  return means


def peer_curves(rows: list[dict]) -> dict[str, Curve]:
  """The mean curve of each codec."""
  return {name: make_curve(means) for name, means in peer_means(rows).items()}
