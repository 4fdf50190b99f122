import dataclasses
import zlib

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

from sclc_jax.codec.stream import bitstream, sections

PLANES = hnp.arrays(
  np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
)


def _with_sections(data: bytes, extra: dict[int, bytes], **changes) -> bytes:
  """The file with these sections, and other header fields."""
  file = bitstream.unpack(data)
  changed = dataclasses.replace(file, sections=extra, **changes)
  return bitstream.pack(changed)


@hypothesis.given(PLANES)
@hypothesis.settings(deadline=None)
def test_alpha_is_exact(plane):
  data = sections.encode_alpha(plane)
  np.testing.assert_array_equal(
    sections.decode_alpha(data, *plane.shape), plane
  )


def test_alpha_of_smooth_and_flat_planes_is_small():
  rows, columns = np.mgrid[:300, :400]
  ramp = ((rows + 2 * columns) // 5).astype(np.uint8)
  assert len(sections.encode_alpha(ramp)) < ramp.size / 100
  assert len(sections.encode_alpha(ramp * 0 + 7)) == 2


@hypothesis.given(st.binary(max_size=60), PLANES)
@hypothesis.settings(deadline=None)
def test_hostile_alpha_is_an_error_or_of_its_size(data, plane):
  coded = bytearray(sections.encode_alpha(plane))
  coded[len(data) % len(coded)] ^= 1 + len(data)
  for hostile in (data, bytes(coded)):
    try:
      actual = sections.decode_alpha(hostile, *plane.shape)
    except bitstream.DamagedFileError:
      continue
    assert actual.shape == plane.shape


def test_bombs_are_bounded_by_the_declared_size(codec, photo):
  bomb = zlib.compressobj(9, wbits=-15)
  data = bomb.compress(bytes(10**8)) + bomb.flush()
  with pytest.raises(bitstream.DamagedFileError, match="declared"):
    sections.decode_alpha(b"\0" + data, 100, 100)
  with pytest.raises(bitstream.DamagedFileError, match="declared"):
    sections.decode_metadata({bitstream.ICC: data})
  hostile = _with_sections(
    codec.compress(photo, 1), {bitstream.ALPHA: b"\0" + data}
  )
  with pytest.raises(bitstream.DamagedFileError):
    codec.decompress(hostile)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (70, 3)])
def test_alpha_comes_back_exactly_with_its_shape(codec, channels, shape):
  rng = np.random.default_rng(0)
  image = rng.integers(1, 256, (*shape, channels)).astype(np.uint8)
  data = codec.compress(image, 3)
  actual = codec.decompress(data)
  assert actual.shape == image.shape and actual.dtype == np.uint8
  np.testing.assert_array_equal(actual[..., -1], image[..., -1])
  colour = image[..., 0] if channels == 2 else image[..., :3]
  opaque = codec.decompress(codec.compress(colour, 3))
  np.testing.assert_array_equal(actual[..., :-1], np.atleast_3d(opaque))


def test_metadata_comes_back_and_wrong_ones_are_named(codec, photo):
  metadata = {"icc": b"a" * 1000, "exif": bytes(range(256)), "xmp": b"<x/>"}
  data = codec.compress(photo, 2, metadata=metadata)
  assert codec.metadata(data) == metadata
  plain = codec.compress(photo, 2, metadata={"icc": b""})
  assert plain == codec.compress(photo, 2) and codec.metadata(plain) == {}
  with pytest.raises(ValueError, match="'iptc'"):
    codec.compress(photo, 2, metadata={"iptc": b"x"})
  with pytest.raises(ValueError, match="bytes"):
    codec.compress(photo, 2, metadata={"icc": bytes(2**24 + 1)})


def test_sections_cost_at_most_8_bytes_each_and_older_files_none(codec, photo):
  plain = codec.compress(photo, 2)
  assert plain[3] == 1
  for count in range(1, 6):
    extra = {kind: bytes(200) for kind in range(1, count + 1)}
    data = _with_sections(plain, extra)
    assert data[3] == 2
    assert len(data) - len(plain) <= count * (200 + 8)
    assert bitstream.unpack(data).sections == extra


def test_unknown_unordered_and_missing_sections_are_named(codec, photo):
  plain = codec.compress(photo, 2)
  newer = _with_sections(plain, {9: b"x"})
  with pytest.raises(bitstream.DamagedFileError, match="kind 9.*update"):
    codec.decompress(newer)
  twice = bytearray(_with_sections(plain, {1: b"x", 2: b"y"}))
  at = twice.index(b"\x02\x01\x01\x02\x01")
  twice[at : at + 5] = b"\x02\x02\x01\x01\x01"
  with pytest.raises(bitstream.DamagedFileError, match="order"):
    codec.decompress(bytes(twice))
  later = bytearray(newer)
  later[3] = bitstream.VERSION + 1
  with pytest.raises(bitstream.DamagedFileError, match="version 3.*update"):
    codec.decompress(bytes(later))


def test_every_cut_and_every_flipped_byte_of_sections_is_an_error(codec, photo):
  image = np.dstack([photo, photo[..., :1]])[:64, :64]
  quality = np.array([[2, 5]])
  data = codec.compress(image[:20], quality, {"exif": b"exif"})
  assert len(bitstream.unpack(data).sections) == 2
  for i in range(0, len(data), 3):
    damaged = bytearray(data)
    damaged[i] ^= 1 << (i % 8)
    for wrong in (data[:i], bytes(damaged)):
      with pytest.raises(ValueError):
        codec.decompress(wrong)


def test_declared_section_sizes_are_bounded_by_the_file(codec, photo):
  plain = codec.compress(photo, 2)
  data = _with_sections(plain, {bitstream.ALPHA: b"x"})
  at = data.index(b"\x01\x01\x01")
  hostile = data[: at + 2] + b"\xff\xff\xff\xff\x7f" + data[at + 3 :]
  with pytest.raises(bitstream.DamagedFileError, match="cut"):
    codec.decompress(hostile)
  extra = {bitstream.ALPHA: b"\xff\xff"}
  with pytest.raises(ValueError):
    codec.decompress(_with_sections(plain, extra, height=1))
