"""Small pictures in formats, depths and kinds of transparency, as files."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import tifffile
from PIL import Image

SHAPE = (40, 48)


def ramp(channels: int, bits: int) -> np.ndarray:
  """Samples [40, 48, channels] that go from 0 to the greatest value."""
  top = 2**bits - 1
  y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
  planes = [(x * top // 47 + k * y * top // 97) % (top + 1) for k in range(4)]
  dtype = np.uint8 if bits <= 8 else np.uint16
  return np.stack(planes[:channels], -1).astype(dtype)


def chunk(name: bytes, data: bytes) -> bytes:
  check = zlib.crc32(name + data)
  return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def packed(samples: np.ndarray, bits: int) -> list[bytes]:
  """Rows of [H, W, C], the first bit first."""
  rows = samples.reshape(len(samples), -1).astype(">u2")
  wide = np.unpackbits(rows.view(np.uint8).reshape(len(rows), -1, 2), axis=2)
  return [np.packbits(row[:, 16 - bits :]).tobytes() for row in wide]


def png(
  samples: np.ndarray, bits: int, kind: int, *extra: tuple[bytes, bytes]
) -> bytes:
  """A PNG of any depth and colour type; `extra` chunks precede the pixels."""
  height, width = samples.shape[:2]
  header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
  rows = b"".join(b"\0" + row for row in packed(samples, bits))
  chunks = [
    (b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
  ]  # fmt: skip
  return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def tiff(samples: np.ndarray, **options) -> bytes:
  buffer = io.BytesIO()
  tifffile.imwrite(buffer, samples, **options)
  return buffer.getvalue()


def packed_tiff(
  samples: np.ndarray,
  bits: int,
  photometric: int,
  order: str = "<",
  zipped: bool = False,
) -> bytes:
  """A TIFF of samples of other than 8 or 16 bits, in one strip."""
  height, width, count = samples.shape
  strip = b"".join(packed(samples, bits))
  strip = zlib.compress(strip) if zipped else strip
  tags = {
    256: width, 257: height, 258: bits, 259: 8 if zipped else 1,
    262: photometric, 273: 8, 277: count, 278: height, 279: len(strip),
  }  # fmt: skip
  at = 8 + len(strip) + len(strip) % 2
  head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", at)
  directory = struct.pack(order + "H", len(tags))
  end = at + 2 + 12 * len(tags) + 4
  for tag, value in tags.items():
    if tag == 258 and count > 1:
      directory += struct.pack(order + "HHII", tag, 3, count, end)
    else:
      directory += struct.pack(order + "HHII", tag, 4, 1, value)
  directory += bytes(4) + struct.pack(order + f"{count}H", *[bits] * count)
  return head + strip.ljust(at - 8, b"\0") + directory


def bmp(samples: np.ndarray, masks: tuple[int, ...], bits: int) -> bytes:
  """A BMP whose pixels are numbers with these masks of red, green and blue."""
  height, width = samples.shape[:2]
  assert width * bits % 32 == 0  # rows end at whole words
  data = samples[::-1].astype(f"<u{bits // 8}").tobytes()
  head = struct.pack(
    "<IiiHHIIiiII3I", 40, width, height, 1, bits, 3, len(data), 0, 0, 0, 0,
    *masks,
  )  # fmt: skip
  size = 14 + len(head)
  start = b"BM" + struct.pack("<IHHI", size + len(data), 0, 0, size)
  return start + head + data


def saved(samples: np.ndarray, kind: str, mode: str | None = None, **options):
  """By Pillow."""
  samples = samples[..., 0] if samples.shape[-1] == 1 else samples
  image = Image.fromarray(samples, mode)
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def ppm(samples: np.ndarray, top: int) -> bytes:
  height, width, count = samples.shape
  dtype = np.uint8 if top < 256 else ">u2"
  head = f"P{5 if count == 1 else 6}\n{width} {height}\n{top}\n".encode()
  return head + samples.astype(dtype).tobytes()


def _pngs() -> dict[str, Callable[[], bytes]]:
  key = struct.Struct(">H").pack
  files = {}
  for bits in (1, 2, 4, 8, 16):
    gray = ramp(1, bits)
    files[f"PNG gray {bits} bits"] = lambda g=gray, b=bits: png(g, b, 0)
    files[f"PNG gray {bits} bits, one transparent"] = lambda g=gray, b=bits: (
      png(g, b, 0, (b"tRNS", key(int(g[7, 20, 0]))))
    )
  for bits in (8, 16):
    for kind, count in ((2, 3), (4, 2), (6, 4)):
      name = {2: "RGB", 4: "gray + alpha", 6: "RGB + alpha"}[kind]
      files[f"PNG {name} {bits} bits"] = lambda c=count, b=bits, k=kind: png(
        ramp(c, b), b, k
      )
    files[f"PNG RGB {bits} bits, one transparent"] = lambda b=bits: png(
      ramp(3, b), b, 2,
      (b"tRNS", b"".join(key(int(v)) for v in ramp(3, b)[9, 9])),
    )  # fmt: skip
  colours = np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8)
  for bits in (1, 2, 4, 8):
    palette = (b"PLTE", colours[: 3 * 2**bits].tobytes())
    files[f"PNG palette {bits} bits"] = lambda b=bits, p=palette: png(
      ramp(1, b), b, 3, p
    )
    files[f"PNG palette {bits} bits, alphas"] = lambda b=bits, p=palette: png(
      ramp(1, b), b, 3, p, (b"tRNS", bytes([0, 128]))
    )
  return files


def _tiffs() -> dict[str, Callable[[], bytes]]:
  files = {}
  for order in "<>":
    for zipped in (None, "zlib"):
      layouts = ((None, "strips"), ((16, 16), "tiles"))
      for tile, layout in layouts:
        options = {"byteorder": order, "compression": zipped, "tile": tile}
        name = f"{'II' if order == '<' else 'MM'} {layout}"
        name += " deflate" if zipped else ""
        files |= _tiffs_of(name, order, options)
  return files


def _tiffs_of(name: str, order: str, options: dict) -> dict:
  files = {}

  def add(label: str, samples: np.ndarray, **more):
    samples = samples.astype(samples.dtype.newbyteorder(order))
    planes = more.get("planarconfig") == "separate"
    samples = np.moveaxis(samples, -1, 0) if planes else samples
    samples = samples[..., 0] if samples.shape[-1] == 1 else samples
    files[f"TIFF {label}, {name}"] = lambda: tiff(samples, **more, **options)

  for bits in (8, 16):
    for white in ("minisblack", "miniswhite"):
      add(f"{white} {bits} bits", ramp(1, bits), photometric=white)
    for alpha in ("unassalpha", "assocalpha"):
      kind = {"planarconfig": "contig", "extrasamples": [alpha]}
      add(f"gray + {alpha} {bits} bits", _fitting(2, bits, alpha),
          photometric="minisblack", **kind)  # fmt: skip
      for planes in ("contig", "separate"):
        kind["planarconfig"] = planes
        add(f"RGB + {alpha} {bits} bits, {planes}", _fitting(4, bits, alpha),
            photometric="rgb", **kind)  # fmt: skip
    for photometric, count in (("rgb", 3), ("separated", 4)):
      for planes in ("contig", "separate"):
        add(f"{photometric} {bits} bits, {planes}", ramp(count, bits),
            photometric=photometric, planarconfig=planes)  # fmt: skip
  colormap = np.random.default_rng(0).integers(0, 65536, (3, 256))
  add("palette 8 bits", ramp(1, 8), photometric="palette",
      colormap=colormap.astype(np.uint16))  # fmt: skip
  for kind in ("i1", "i2", "u4", "f2", "f4"):
    for white in ("minisblack", "miniswhite"):
      add(f"{white} {kind}", ramp(1, 8).astype(kind), photometric=white)
  return files


def _fitting(count: int, bits: int, alpha: str) -> np.ndarray:
  """With colours that do not exceed alpha, where they were times alpha."""
  samples = ramp(count, bits)
  if alpha == "assocalpha":
    samples = np.minimum(samples, samples[..., -1:])
  return samples


def files() -> dict[str, Callable[[], bytes]]:
  """Every combination by name, for the table."""
  made = {**_pngs(), **_tiffs()}
  lossless = {"WEBP": {"lossless": True}}
  lossless["AVIF"] = {"quality": 100, "subsampling": "4:4:4"}
  for kind, options in lossless.items():
    for mode, count in (("RGB", 3), ("RGBA", 4)):
      made[f"{kind} {mode} 8 bits"] = lambda k=kind, c=count, o=options: saved(
        ramp(c, 8), k, **o
      )
  for count in (1, 3):
    made[f"JPEG {'gray' if count == 1 else 'RGB'} 8 bits"] = lambda c=count: (
      saved(ramp(c, 8) // 4 + 64, "JPEG", quality=95)
    )
  made["JPEG CMYK 8 bits"] = lambda: saved(ramp(4, 8) // 2, "JPEG", "CMYK")
  return made
