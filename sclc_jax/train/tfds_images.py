"""Images of tensorflow-datasets, by random access and without TensorFlow."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sclc_jax.buckets import to_path
from sclc_jax.files import is_there
from sclc_jax.images import load_rgb

# A picture's file as `image`, its `width`, `height` and `name`.
Record = Mapping[str, bytes | int]


class TfdsImages(Sequence):
  """The images of a split; a record is read and decoded at each access."""

  def __init__(self, records: Sequence, feature: str, name: str):
    self._records = records
    self._feature = feature
    self._name = name

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> np.ndarray:
    if index >= len(self):
      raise IndexError(index)  # which ends a loop over the images
    # By hand: tensorflow-datasets takes 150 microseconds, and would decode
    # what a record holds beside its image.
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example.FromString(self._records[index])
    data = example.features.feature[self._feature].bytes_list.value[0]
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
    source = builder.as_data_source(split=split or "train")
  # For sets that are missing, damaged, or of a format without random access.
  except (ValueError, NotImplementedError, OSError) as error:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    raise ValueError(
      f"data.source tfds:{text} cannot be read ({reason}); "
      "make it by 'sclc data PHOTOS -o FOLDER', or where TensorFlow is "
      "installed by tfds.builder(NAME, file_format='array_record')"
      ".download_and_prepare()."
    ) from None
  return TfdsImages(source.data_source, features[0], f"tfds:{name}")


class Shard(NamedTuple):
  """An array_record file that was written: how much is in it."""

  pictures: int
  size: int  # bytes of the records


def write_shard(path: str | pathlib.Path, records: Iterable[Record]) -> Shard:
  """Writes pictures as one array_record file.

  To read a record takes the longer the more the file holds: 5 microseconds of
  1,000, 2,200 of a million (`experiments/bench/big_set.py`).
  """
  from array_record.python import array_record_module
  from tensorflow_datasets.proto import tf_example_pb2

  # One record a group: random access reads no neighbours.
  writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
  count = size = 0
  for record in records:
    example = tf_example_pb2.Example()
    for key, value in record.items():
      feature = example.features.feature[key]
      if isinstance(value, bytes):
        feature.bytes_list.value.append(value)
      else:
        feature.int64_list.value.append(value)
    # Otherwise the order of the features is another in each process.
    data = example.SerializeToString(deterministic=True)
    writer.write(data)
    count, size = count + 1, size + len(data)
  writer.close()
  return Shard(count, size)


def shard_name(number: int, shards: int) -> str:
  """The name of a file of a set."""
  return f"images-train.array_record-{number:05d}-of-{shards:05d}"


def write_description(
  folder: str | os.PathLike, shards: Sequence[Shard], about: bool = False
) -> None:
  """Writes what makes a folder of shards a set: its features and lengths.

  Args:
    folder: that has the shards.
    shards: in order.
    about: whether the records have `width`, `height` and `name`.
  """
  import tensorflow_datasets as tfds

  # Images are stored as their files came: JPEG, PNG, WebP, ...
  features = {"image": tfds.features.Image(shape=(None, None, 3))}
  if about:
    features |= {"width": np.int64, "height": np.int64}
    features["name"] = tfds.features.Text()
  folder = to_path(folder)
  tfds.features.FeaturesDict(features).save_config(folder)
  info = {
    "name": "images",
    "version": "1.0.0",
    "fileFormat": "array_record",
    "splits": [
      {
        "name": "train",
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "numBytes": str(sum(shard.size for shard in shards)),
        "shardLengths": [str(shard.pictures) for shard in shards],
      }
    ],
  }
  (folder / "dataset_info.json").write_text(json.dumps(info))


def write_tfds(images: Iterable[bytes], folder: str | pathlib.Path) -> None:
  """Packs picture files as a set of one shard; `sclc data` makes larger ones.

  Args:
    images: the bytes of picture files.
    folder: new; afterwards `data.source=tfds:FOLDER` reads it.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True)
  records = ({"image": data} for data in images)
  shard = write_shard(folder / shard_name(0, 1), records)
  write_description(folder, [shard])
