import numpy as np
import pytest

from sclc_jax.codec.codec import Codec


@pytest.fixture(scope="module")
def images(photo):
  alpha = np.dstack([photo, photo[..., :1]])
  return [
    photo, photo[:, ::-1], photo[:70, :90, 0], photo[::-1], alpha,
    photo[:100, :130], photo[:3, :5],
  ]  # fmt: skip


def test_many_give_what_one_gives(codec, images):
  files = codec.compress_many(images, 3)
  assert files == [codec.compress(image, 3) for image in images]
  for image, data in zip(codec.decompress_many(iter(files)), files):
    np.testing.assert_array_equal(image, codec.decompress(data))
  assert codec.compress_many([]) == [] and codec.decompress_many([]) == []


def test_stacks_decode_and_differ_by_rounding_alone(
  tiny_model, codec, images, monkeypatch
):
  stacks = Codec(tiny_model)
  monkeypatch.setattr(
    stacks.transforms, "stack_size", lambda count, _: min(count, 3)
  )
  files = stacks.compress_many(images, 6)
  actual = stacks.decompress_many(files)
  assert {key[1][0] for key in stacks.transforms.compiled} == {1, 3}
  for image, data, picture in zip(images, files, actual):
    assert abs(len(data) - len(codec.compress(image, 6))) <= 4
    assert picture.shape == image.shape
    difference = picture.astype(int) - codec.decompress(data)
    assert np.abs(difference).max() <= 1


def test_files_are_decoded_stack_by_stack(tiny_model, images, monkeypatch):
  stacks = Codec(tiny_model)
  data = stacks.compress(images[0], 3)
  done, seen = [], []
  symbols, run = stacks._decoder.symbols, stacks.transforms.run

  def decode(file):
    done.append(1)
    return symbols(file)

  def synthesise(*inputs):
    seen.append(len(done))
    return run(*inputs)

  monkeypatch.setattr(stacks._decoder, "symbols", decode)
  monkeypatch.setattr(stacks.transforms, "run", synthesise)
  monkeypatch.setattr(stacks.transforms, "stack_size", lambda *_: 2)
  assert len(stacks.decompress_many([data] * 6)) == 6
  assert seen == [2, 4, 6]


def test_a_bad_one_of_many_is_named(codec, photo):
  with pytest.raises(ValueError, match="float64"):
    codec.compress_many([photo, photo / 255])
  data = codec.compress(photo, 2)
  with pytest.raises(ValueError, match="cut"):
    codec.decompress_many([data, data[:-1]])
