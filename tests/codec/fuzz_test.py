import dataclasses
import pathlib
import sys

import pytest

from sclc_jax.codec.codec import Codec
from sclc_jax.codec.stream import bitstream

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mutate  # noqa: E402


def test_damaged_files_end_in_an_error_or_a_picture(tiny_model, photo):
  codec = Codec(tiny_model, max_pixels=mutate.MAX_PIXELS)
  images = (photo[:64, :64], photo[:70, :33], photo[:64, :64, 0])
  files = mutate.sample_files(codec, images)
  outcomes, slowest, gained = mutate.run(codec, files, 400)
  assert sum(outcomes.values()) == 400
  assert outcomes["picture"] < 40 and len(outcomes) > 4
  assert slowest < 20 and gained < 1024


@pytest.mark.parametrize("side", ["height", "width"])
def test_declared_sizes_are_bounded_before_anything_is_allocated(
  codec, photo, side
):
  file = bitstream.unpack(codec.compress(photo, 2))
  for value in (0, 2**21 - 1, 2**21, 2**34):
    changed = dataclasses.replace(file, **{side: value})
    with pytest.raises(ValueError, match="declares|damaged"):
      codec.decompress(bitstream.pack(changed))


def test_files_shorter_than_their_declared_size_are_refused(codec, photo):
  file = bitstream.unpack(codec.compress(photo, 2))
  changed = dataclasses.replace(file, height=15000, width=15000)
  with pytest.raises(ValueError):
    codec.decompress(bitstream.pack(changed))
