"""Compresses and evaluates pictures in a pipeline: one model a process.

    import apache_beam as beam
    from sclc_jax.beam.transforms import (
      CompressPictures, EvaluatePictures, find_pictures, write_rows)

    with beam.Pipeline(options=options) as pipeline:
      pictures = pipeline | beam.Create(find_pictures("photos"))
      files = pictures | CompressPictures("compressed", quality=4)
      rows = pictures | EvaluatePictures([1, 4, 8])
      rows.rows | beam.combiners.ToList() | beam.Map(write_rows, "rows.csv")
      files.failed | beam.Map(print)

A picture is (path, name): the file to read, and its name in the results. Paths
may lie in buckets (gs://). The module runs on any runner of Beam whose workers
have sclc_jax.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.shared import Shared

from sclc_jax.files import list_files, read_whole, write_whole
from sclc_jax.formats import SUFFIXES
from sclc_jax.images import load_image, load_photo

FAILED = "failed"


def find_pictures(folder: str | os.PathLike) -> Iterator[tuple[str, str]]:
  """(path, name below the folder) of every picture file in it, in order."""
  for path in list_files(folder, SUFFIXES).files:
    yield str(path), path.relative_to(folder).as_posix()


class CompressPictures(beam.PTransform):
  """Picture files to the very .sclc files that `sclc compress` writes.

  Takes (path, name); gives the paths that were written, and as `failed`
  (path, reason) of the pictures that could not be compressed.
  """

  def __init__(
    self,
    folder: str,
    quality: float = 4.0,
    model: str | None = None,
    **options: Any,
  ):
    """Takes what all pictures share.

    Args:
      folder: gets NAME.sclc for each NAME.jpg, whole or not at all; what is
        there already is replaced. No two names may differ in the suffix alone.
      quality: in [1, L].
      model: an .sclcm file or a shipped name; the default model if None.
      **options: of `sclc_jax.load_codec`, such as `effort`.
    """
    super().__init__()
    self._compress = _Compress(folder, quality, model, options)

  def expand(self, pictures):
    """Compresses each picture on its own."""
    return (
      pictures
      | beam.Reshuffle()
      | beam.ParDo(self._compress).with_outputs(FAILED, main="written")
    )


class EvaluatePictures(beam.PTransform):
  """Rate and distortion of pictures, through real files.

  Takes (path, name); gives a row each picture and quality, with the columns
  of `sclc evaluate --csv`, and as `failed` (path, reason).
  """

  def __init__(
    self,
    qualities: Iterable[float],
    model: str | None = None,
    **options: Any,
  ):
    """Takes what all pictures share.

    Args:
      qualities: in [1, L].
      model: as of `CompressPictures`.
      **options: likewise.
    """
    super().__init__()
    self._evaluate = _Evaluate(tuple(map(float, qualities)), model, options)

  def expand(self, pictures):
    """Evaluates each picture on its own."""
    return (
      pictures
      | beam.Reshuffle()
      | beam.ParDo(self._evaluate).with_outputs(FAILED, main="rows")
    )


def write_rows(rows: Iterable[dict], path: str | os.PathLike) -> None:
  """Writes rows of `EvaluatePictures`, in order, as `sclc evaluate` does."""
  from sclc_jax.evaluation.measure import Evaluation

  ordered = sorted(rows, key=lambda row: (row["image"], row["quality"]))
  Evaluation(ordered).write_csv(path)


class _Coding(beam.DoFn):
  """Works with a codec that all threads of a process share."""

  def __init__(self, model: str | None, options: dict[str, Any]):
    self._model = model
    self._options = options
    self._shared = Shared()

  def setup(self):
    """Loads the model, unless the process has it already."""
    from sclc_jax.codec.codec import load_codec

    self.codec = self._shared.acquire(
      lambda: load_codec(self._model, **self._options)
    )

  def process(self, picture: tuple[str, str]):
    """Results, or why there are none."""
    path, name = picture
    try:
      yield from self.results(path, name)
    except ValueError as error:
      yield TaggedOutput(FAILED, (path, str(error)))


class _Compress(_Coding):
  def __init__(self, folder: str, quality: float, model, options):
    super().__init__(model, options)
    self._folder = folder
    self._quality = quality

  def results(self, path: str, name: str) -> list[str]:
    """The file that is written."""
    photo = load_photo(read_whole(path), self.codec.max_pixels, name=path)
    data = self.codec.compress(photo.image, self._quality)
    target = pathlib.PurePosixPath(self._folder, name).with_suffix(".sclc")
    write_whole(str(target), data, make_folder=True)
    return [str(target)]


class _Evaluate(_Coding):
  def __init__(self, qualities: tuple[float, ...], model, options):
    super().__init__(model, options)
    self._qualities = qualities

  def results(self, path: str, name: str) -> list[dict]:
    """Rows as of `measure.evaluate`."""
    from sclc_jax.evaluation import measure

    image = load_image(read_whole(path), self.codec.max_pixels)
    with tempfile.TemporaryDirectory() as folder:
      file = pathlib.Path(folder, "image.sclc")
      codings = measure.code_image(
        self.codec, image, name, self._qualities, file
      )
      return measure.measured(codings, {})
