"""A decoder of symbols written from docs/format.md, sharing no code with ours.

Slow and plain. It takes its two inputs as bytes, the tables of y as arrays.
"""

import json
import zlib

import numpy as np


def read_bounds(page):
  """B_0 ... B_62, as the page lists them."""
  listed = page.split("Written out, B_0 to B_62:")[1].split("The mask")[0]
  return [int(number) for number in listed.replace("\n", " ").split(",")]


def decode_symbols(data, model, cdf, cdf_offset, bounds):
  """(z, mask, index, y) of a file; asserts both checks.

  Args:
    data: the bytes of an .sclc file.
    model: tensors of its .sclcm file by name.
    cdf, cdf_offset: the tables of y.
    bounds: B_0 ... B_62.
  """
  assert data[:4] == b"SCL\x01"
  step = int.from_bytes(data[11:13], "little")
  at, sizes = 13, []
  for _ in range(4):
    value, shift = 0, 0
    while True:
      byte = data[at]
      at, value = at + 1, value | (byte & 127) << shift
      shift += 7
      if byte < 128:
        break
    sizes.append(value)
  height, width, z_bytes, y_bytes = sizes
  symbols_check = int.from_bytes(data[at : at + 2], "little")
  file_check = int.from_bytes(data[at + 2 : at + 6], "little")
  body = data[at + 6 :]
  assert len(body) == z_bytes + y_bytes
  assert zlib.crc32(data[: at + 2] + body) == file_check

  H, W = -(-height // 64), -(-width // 64)
  N = model["z_tables/cdf_offset"].size
  z_rows = _rows(model["z_tables/cdf"])
  z = _decode(body[:z_bytes], z_rows, model["z_tables/cdf_offset"],
              [i % N for i in range(H * W * N)])  # fmt: skip
  z = np.array(z, np.int64).reshape(H, W, N)

  x0 = _up(z, model, 0)
  x0 = np.clip(_shift(x0, model["control/0/shift"] - 12), 0, 2**22 - 1)
  f = _shift(_up(x0, model, 1), model["control/1/shift"])
  f = np.clip(f, 0, 2**22 - 1)
  scale = _shift(_same(f, model, 2), model["control/2/shift"])
  scale = np.clip(scale, 0, 2**26 - 1)
  importance = _same(f, model, "head")
  importance = _shift(importance, model["control/head/shift"] - 8) + 2**19
  importance = np.clip(importance, 0, 2**20)
  mask = importance > model["control/thresholds"][step]

  product = scale * model["control/reciprocals"][step].astype(np.int64)
  index = [sum(b < p for b in bounds) for p in product[mask].tolist()]
  y = _decode(body[z_bytes:], _rows(cdf), cdf_offset, index)

  crc = zlib.crc32(z.astype("<i4").tobytes())
  crc = zlib.crc32(np.array(y, "<i4").tobytes(), crc)
  assert crc & 0xFFFF == symbols_check
  return z, mask, index, y


def read_model(data):
  """Tensors of an .sclcm file by name, from its bytes (safetensors)."""
  start = 8 + int.from_bytes(data[:8], "little")
  header = json.loads(data[8:start])
  kinds = {"I16": "<i2", "I32": "<i4", "I64": "<i8", "F32": "<f4", "F16": "<f2"}
  tensors = {}
  for name, about in header.items():
    if name != "__metadata__":
      first, last = about["data_offsets"]
      raw = np.frombuffer(data[start + first : start + last],
                          kinds[about["dtype"]])  # fmt: skip
      tensors[name] = raw.reshape(about["shape"])
  return tensors


def _rows(cdf):
  rows = []
  for value in cdf.tolist():
    if value < 0:
      rows.append((-value, []))
    else:
      rows[-1][1].append(value)
  return rows


def _decode(data, rows, offsets, indexes):
  data = data + bytes(4)
  state = [0, 2**32, int.from_bytes(data[:4], "big"), 4]  # base, size, value

  def interval(precision, counts):
    base, size, value, at = state
    t = ((value - base) % 2**32 + 1) << precision
    k = next(k for k in range(1, len(counts)) if size * counts[k] >= t)
    a = (size * counts[k - 1]) >> precision
    b = (size * counts[k]) >> precision
    base, size = (base + a) % 2**32, b - a
    if size <= 2**16:
      base, size = (base << 16) % 2**32, size << 16
      two = (data[at : at + 2] + bytes(2))[:2]
      value = ((value << 16) + int.from_bytes(two, "big")) % 2**32
      at += 2
    state[:] = base, size, value, at
    return k - 1

  def bit():
    return interval(1, [0, 1, 2])

  out = []
  for index in indexes:
    precision, counts = rows[index]
    n = len(counts) - 1
    u = interval(precision, counts)
    if u == n - 1:
      zeros = 0
      while not bit():
        zeros += 1
      g = 1
      for _ in range(zeros):
        g = 2 * g + bit()
      u = -g if bit() else g + n - 2
    out.append(u + int(offsets[index]))
  return out


def _shift(x, by):
  return np.where(by >= 0, x >> np.maximum(by, 0), x << np.maximum(-by, 0))


def _up(x, model, name):
  weight = model[f"control/{name}/weight"].astype(np.int64)
  h, w, _ = x.shape
  out = np.tile(model[f"control/{name}/bias"], (2 * h, 2 * w, 1))
  for i in range(h):
    for j in range(w):
      for t in range(5):
        for u in range(5):
          row, column = 2 * i + t - 1, 2 * j + u - 1
          if 0 <= row < 2 * h and 0 <= column < 2 * w:
            out[row, column] += x[i, j] @ weight[t, u]
  return out


def _same(x, model, name):
  weight = model[f"control/{name}/weight"].astype(np.int64)
  h, w, _ = x.shape
  size = weight.shape[0]
  e = size // 2
  out = np.tile(model[f"control/{name}/bias"], (h, w, 1))
  for i in range(h):
    for j in range(w):
      for t in range(size):
        for u in range(size):
          row, column = i + t - e, j + u - e
          if 0 <= row < h and 0 <= column < w:
            out[i, j] += x[row, column] @ weight[t, u]
  return out
