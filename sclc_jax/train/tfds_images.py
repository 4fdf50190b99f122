"""Images of tensorflow-datasets, by random access and without TensorFlow."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from sclc_jax.buckets import to_path
from sclc_jax.files import is_there
from sclc_jax.images import load_rgb


class TfdsImages(Sequence):
  """The images of a split; a record is read and decoded at each access."""

  def __init__(self, records: Sequence, feature: str, name: str):
    self._records = records
    self._feature = feature
    self._name = name

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> np.ndarray:
    data = self._records[index][self._feature]
    return load_rgb(data, name=f"record {index} of {self._name}")


def open_tfds(text: str) -> TfdsImages:
  """A prepared array_record set of tensorflow-datasets.

  Args:
    text: `NAME`, `NAME/CONFIG`, `NAME:VERSION` or the folder that holds one
      version (its `features.json`); then `#SPLIT` (`#train[:90%]`; `#train`
      if unset); then `@DATA_DIR` where NAME is not in `~/tensorflow_datasets`.

  Returns:
    A sequence of uint8 [H, W, 3] images.
  """
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core import read_only_builder

  text, _, data_dir = text.partition("@")
  name, _, split = text.partition("#")
  try:
    if is_there(to_path(name) / "features.json"):
      builder = tfds.builder_from_directory(name)
    else:
      builder = read_only_builder.builder_from_files(
        name, data_dir=data_dir or None
      )
    features = [
      key
      for key, feature in builder.info.features.items()
      if isinstance(feature, tfds.features.Image)
    ]
    if len(features) != 1:
      raise ValueError(f"it has {len(features)} image features, not one")
    records = builder.as_data_source(
      split=split or "train",
      decoders={features[0]: tfds.decode.SkipDecoding()},
    )
  # For sets that are missing, damaged, or of a format without random access.
  except (ValueError, NotImplementedError, OSError) as error:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    raise ValueError(
      f"data.source tfds:{text} cannot be read ({reason}); "
      "prepare it where TensorFlow is installed by tfds.builder(NAME, "
      "file_format='array_record').download_and_prepare()."
    ) from None
  return TfdsImages(records, features[0], f"tfds:{name}")


def write_tfds(
  images: Iterable[bytes], folder: str | pathlib.Path, encoding: str = "png"
) -> None:
  """Packs coded images as a tfds set of one array_record file.

  For sets of many small files on storage that serves those badly; where
  TensorFlow is installed, tensorflow-datasets itself writes such folders.

  Args:
    images: files of one encoding.
    folder: new; afterwards `data.source=tfds:FOLDER` reads it.
    encoding: `png` or `jpeg`.
  """
  import tensorflow_datasets as tfds
  from array_record.python import array_record_module
  from tensorflow_datasets.proto import tf_example_pb2

  folder = pathlib.Path(folder)
  folder.mkdir(parents=True)
  image = tfds.features.Image(
    shape=(None, None, 3), dtype=np.uint8, encoding_format=encoding
  )
  tfds.features.FeaturesDict({"image": image}).save_config(folder)
  file = folder / "images-train.array_record-00000-of-00001"
  # One record a group: random access reads no neighbours.
  writer = array_record_module.ArrayRecordWriter(str(file), "group_size:1")
  count = size = 0
  for data in images:
    example = tf_example_pb2.Example()
    example.features.feature["image"].bytes_list.value.append(data)
    record = example.SerializeToString()
    writer.write(record)
    count, size = count + 1, size + len(record)
  writer.close()
  info = {
    "name": "images",
    "version": "1.0.0",
    "fileFormat": "array_record",
    "splits": [
      {
        "name": "train",
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "numBytes": str(size),
        "shardLengths": [str(count)],
      }
    ],
  }
  (folder / "dataset_info.json").write_text(json.dumps(info))
