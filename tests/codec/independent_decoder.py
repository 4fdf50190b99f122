"""A decoder of symbols written from docs/format.md, sharing no code with ours.

Slow and plain: every base model, version and section; no synthesis. It takes
its two inputs as bytes, the tables of y as arrays.
"""

import dataclasses
import json
import zlib

import numpy as np


def read_bounds(page):
  """B_0 ... B_62, as the page lists them."""
  listed = page.split("Written out, B_0 to B_62:")[1].split("The mask")[0]
  return [int(number) for number in listed.replace("\n", " ").split(",")]


@dataclasses.dataclass
class Parsed:
  """A file taken apart; `sections` are bytes by kind."""

  colour: int
  step: int
  height: int
  width: int
  symbols_check: int
  z: bytes
  y: bytes
  sections: dict[int, bytes]

  @property
  def shape(self):
    """[H, W] of z."""
    return -(-self.height // 64), -(-self.width // 64)


def parse(data):
  """Takes an .sclc file apart; asserts its check."""
  assert data[:3] == b"SCL" and data[3] in (1, 2)
  at, sizes, kinds = 13, [], []

  def leb128():
    nonlocal at
    value, shift = 0, 0
    while True:
      byte = data[at]
      at, value = at + 1, value | (byte & 127) << shift
      shift += 7
      if byte < 128:
        return value

  height, width, *sizes = (leb128() for _ in range(4))
  if data[3] == 2:
    count, at = data[at], at + 1
    for _ in range(count):
      kinds.append(data[at])
      at += 1
      sizes.append(leb128())
    assert kinds and kinds == sorted(set(kinds)) and max(kinds) <= 5
  head, body = data[: at + 2], data[at + 6 :]
  file_check = int.from_bytes(data[at + 2 : at + 6], "little")
  assert len(body) == sum(sizes)
  assert zlib.crc32(head + body) == file_check
  ends = np.cumsum(sizes).tolist()
  z, y, *sections = (body[e - size : e] for e, size in zip(ends, sizes))
  return Parsed(
    data[10], int.from_bytes(data[11:13], "little"), height, width,
    int.from_bytes(head[-2:], "little"), z, y, dict(zip(kinds, sections)),
  )  # fmt: skip


def decode_alpha(file):
  """uint8 [height, width]."""
  data = file.sections[1]
  if len(data) == 2 and data[0] == 255:
    return np.full((file.height, file.width), data[1])
  assert data[0] <= 3
  plane = np.frombuffer(_inflate(data[1:]), np.uint8)
  plane = plane.reshape(file.height, file.width).astype(int)
  left, above = data[0] & 1, data[0] & 2
  out = np.zeros((file.height + 1, file.width + 1), int)
  for i in range(file.height):
    for j in range(file.width):
      value = plane[i, j]
      value += out[i + 1, j] if left else 0
      value += out[i, j + 1] if above else 0
      value -= out[i, j] if left and above else 0
      out[i + 1, j + 1] = value % 256
  return out[1:, 1:]


def decode_metadata(file):
  """Bytes of `icc`, `exif` and `xmp`, those that are there."""
  names = {3: "icc", 4: "exif", 5: "xmp"}
  return {
    names[kind]: _inflate(part)
    for kind, part in file.sections.items()
    if kind in names
  }


def decode_steps(file, cdf, cdf_offset):
  """The quality step of each position of y, [4H, 4W]."""
  H, W = file.shape
  if 2 not in file.sections:
    return np.full((4 * H, 4 * W), file.step)
  data = file.sections[2]
  low, table, high = int.from_bytes(data[:2], "little"), data[2], file.step
  assert low < high
  symbols = _Decoder(data[3:]).symbols(_rows(cdf), cdf_offset, [table] * H * W)
  g = np.zeros((H, W), int)
  s = np.zeros((4 * H, 4 * W), int)
  for i in range(H):
    for j in range(W):
      if i and j:
        left, above = g[i, j - 1], g[i - 1, j]
        corner = left + above - g[i - 1, j - 1]
        predicted = max(min(left, above), min(max(left, above), corner))
      else:
        predicted = g[i - 1, 0] if i else g[0, j - 1] if j else 15
      g[i, j] = (symbols[i * W + j] + predicted) % 16
      step = low + (2 * g[i, j] * (high - low) + 15) // 30
      s[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = step
  return s


def decode_symbols(file, model, config, cdf, cdf_offset, bounds):
  """(z, s, mask, index, y, y_hat) of a file; asserts the check of the symbols.

  Args:
    file: of `parse`.
    model: tensors of its .sclcm file by name.
    config: configuration in it.
    cdf, cdf_offset: the tables of y that models share.
    bounds: B_0 ... B_62.
  """
  H, W = file.shape
  N, M = config["N"], config["M"]
  z = _Decoder(file.z).symbols(
    _rows(model["z_tables/cdf"]), model["z_tables/cdf_offset"],
    [i % N for i in range(H * W * N)],
  )  # fmt: skip
  z = np.array(z, np.int64).reshape(H, W, N)
  assert np.abs(z).max() <= 1024
  s = decode_steps(file, cdf, cdf_offset)

  hyperprior = config["base"] == "hyperprior"
  has_context = config["base"] in ("context", "checkerboard")
  x0 = _shift(_up(z, model, 0), model["control/0/shift"] - 12)
  x0 = _activate(x0, hyperprior)
  f = _shift(_up(x0, model, 1), model["control/1/shift"])
  f = _activate(f, hyperprior)
  side = _shift(_same(f, model, 2), model["control/2/shift"])
  side = np.clip(side, 0 if hyperprior else -(2**26 - 1), 2**26 - 1)
  if has_context:
    side = _shift(_same(side, model, 3), model["control/3/shift"])
    side = np.clip(side, -(2**26 - 1), 2**26 - 1)
  mask = np.ones((4 * H, 4 * W, M), bool)
  if "control/head/shift" in model:
    importance = _same(f, model, "head")
    importance = _shift(importance, model["control/head/shift"] - 8) + 2**19
    importance = np.clip(importance, 0, 2**20)
    mask = importance > model["control/thresholds"][s]

  if "y_tables/cdf" in model:  # a quality map has the shared ones all the same
    cdf, cdf_offset = model["y_tables/cdf"], model["y_tables/cdf_offset"]
  decoder, rows = _Decoder(file.y), _rows(cdf)
  all_index, all_y = [], []
  known = np.zeros((4 * H + 4, 4 * W + 4, M), np.int64)  # 2 around the picture
  y_hat = np.zeros(mask.shape, np.float32)
  error = known.copy()
  low = model.get("lowpass/channels", np.zeros(0, int))
  # Channels, and the base whose order of groups they have.
  passes = [(np.delete(np.arange(M), low), config["base"])]
  if low.size:
    passes.insert(0, (low, "lowpass"))
  for channels, order in passes:
    for group in _groups(order, 4 * H, 4 * W):
      # What a group needs of the others is known before its first symbol.
      actual = [
        _lowpass(known, error, side[i, j], i, j, model)
        if order == "lowpass"
        else _context(known, side[i, j], i, j, model, config["base"])
        if has_context
        else side[i, j]
        for i, j in group
      ]
      for (i, j), gaussian in zip(group, actual):
        mean, scale = np.zeros(M, np.int64), gaussian
        if len(gaussian) == 2 * M:
          mean, scale = gaussian[:M], gaussian[M:]
        chosen, step = mask[i, j, channels], s[i, j]
        reciprocals = model["control/reciprocals"][step].astype(np.int64)
        p = (np.maximum(scale, 0) * reciprocals)[channels][chosen]
        index = [sum(b < value for b in bounds) for value in p.tolist()]
        y = decoder.symbols(rows, cdf_offset, index)
        offset = ((mean * reciprocals) >> 16)[channels]
        normal = offset.copy()
        if config.get("unselected") == "zero":
          normal[~chosen] = 0
        normal[chosen] += np.clip(np.array(y, np.int64), -(2**24), 2**24) << 12
        iqv = model["steps"][1, step][channels]
        y_hat[i, j, channels] = normal / 2**12 * iqv
        known[i + 2, j + 2, channels] = _known(normal, iqv)
        error[i + 2, j + 2, channels] = _known(abs(normal - offset), iqv)
        all_index += index
        all_y += y

  crc = zlib.crc32(z.astype("<i4").tobytes())
  crc = zlib.crc32(np.array(all_y, "<i4").tobytes(), crc)
  assert crc & 0xFFFF == file.symbols_check
  return z, s, mask, all_index, all_y, y_hat


def read_model(data, others=()):
  """Tensors of an .sclcm file by name, and the configuration.

  Args:
    data: its bytes.
    others: those of the models that may be its parent.
  """
  tensors, about = _read(data)
  if "parent" in about:
    (parent,) = (
      other
      for other in others
      if _read(other)[1]["fingerprint"] == about["parent"]
    )
    tensors = read_model(parent, others)[0] | tensors
  return tensors, about["model"]


def _read(data):
  start = 8 + int.from_bytes(data[:8], "little")
  header = json.loads(data[8:start])
  kinds = {
    "I16": "<i2", "I32": "<i4", "I64": "<i8", "F32": "<f4", "F16": "<f2",
    "U8": "u1",
  }  # fmt: skip
  about = json.loads(header.pop("__metadata__")["sclcm"])
  tensors = {}
  for name, entry in header.items():
    first, last = entry["data_offsets"]
    raw = np.frombuffer(data[start + first : start + last],
                        kinds[entry["dtype"]])  # fmt: skip
    tensors[name] = raw.reshape(entry["shape"])
  if about["version"] >= 3:
    tensors = {
      name: _whole_numbers(tensors[name].tobytes(), *layout)
      for name, layout in about["tensors"].items()
    }
  return tensors, about


def _whole_numbers(packed, kind, shape, order=0):
  planes, size = zlib.decompress(packed), int(kind[2:])
  count = len(planes) // size
  data = bytearray(len(planes))
  for k in range(size):
    data[k::size] = planes[k * count : (k + 1) * count]
  if order == 0:
    return np.frombuffer(bytes(data), kind).reshape(shape)
  table = np.frombuffer(bytes(data), "<u4").reshape(shape).copy()
  for _ in range(order):
    for row in range(1, shape[-2]):
      table[..., row, :] += table[..., row - 1, :]
  return table.view(kind)


def _inflate(data):
  inflater = zlib.decompressobj(-15)
  out = inflater.decompress(data)
  assert inflater.eof and not inflater.unused_data
  return out


def _rows(cdf):
  rows = []
  for value in cdf.tolist():
    if value < 0:
      rows.append((-value, []))
    else:
      rows[-1][1].append(value)
  return rows


class _Decoder:
  """The range decoder of one string of bytes."""

  def __init__(self, data):
    self.data = data + bytes(4)
    self.base, self.size, self.at = 0, 2**32, 4
    self.value = int.from_bytes(self.data[:4], "big")

  def interval(self, precision, counts):
    base, size, value = self.base, self.size, self.value
    t = ((value - base) % 2**32 + 1) << precision
    k = next(k for k in range(1, len(counts)) if size * counts[k] >= t)
    a = (size * counts[k - 1]) >> precision
    b = (size * counts[k]) >> precision
    base, size = (base + a) % 2**32, b - a
    if size <= 2**16:
      base, size = (base << 16) % 2**32, size << 16
      two = (self.data[self.at : self.at + 2] + bytes(2))[:2]
      value = ((value << 16) + int.from_bytes(two, "big")) % 2**32
      self.at += 2
    self.base, self.size, self.value = base, size, value
    return k - 1

  def bit(self):
    return self.interval(1, [0, 1, 2])

  def symbols(self, rows, offsets, indexes):
    out = []
    for index in indexes:
      precision, counts = rows[index]
      n = len(counts) - 1
      u = self.interval(precision, counts)
      if u == n - 1:
        zeros = 0
        while not self.bit():
          zeros += 1
        g = 1
        for _ in range(zeros):
          g = 2 * g + self.bit()
        u = -g if self.bit() else g + n - 2
      out.append(u + int(offsets[index]))
    return out


def _groups(base, h, w):
  groups = {}
  for i in range(h):
    for j in range(w):
      numbers = {
        "context": j + 3 * i, "checkerboard": (i + j) % 2, "lowpass": j + 2 * i,
      }  # fmt: skip
      number = numbers.get(base, 0)
      groups.setdefault(number, []).append((i, j))
  return [groups[number] for number in sorted(groups)]


def _known(normal, iqv):
  normal = np.clip(normal, -(2**36 - 1), 2**36 - 1)
  inverse = np.round(iqv.astype(np.float64) * 2**16).astype(np.int64)
  inverse = np.clip(inverse, 1, 2**26 - 1)
  return _clip16((normal * inverse + 2**21) >> 22)


def _lowpass(known, error, scale, i, j, model):
  """Means and scales of a position, [2M]; those of other channels unused."""
  h, w = (side - 4 for side in known.shape[:2])
  means, scales = np.zeros(scale.size, np.int64), scale.astype(np.int64)
  if i or j:
    taps = [(0, -1), (-1, -1), (-1, 0), (-1, 1), (0, -2), (-2, 0)]
    cells = []
    for a, b in taps:
      inside = i + a >= 0 and 0 <= j + b < w
      instead = (i - 1, j) if i else (i, j - 1)
      row, column = (i + a, j + b) if inside else instead
      cells.append((row + 2, column + 2))
    for k, m in enumerate(model["lowpass/channels"].tolist()):
      weights = [int(x) for x in model["lowpass/mean"][k]]
      t = [int(x) for x in model["lowpass/scale"][k]]
      W, NW, N, NE, WW, NN = (int(known[cell][m]) for cell in cells)
      median = max(min(W, N), min(max(W, N), W + N - NW))
      inputs = W, NW, N, NE, WW, NN, median
      mean = sum(x * y for x, y in zip(weights, inputs)) >> 8
      terms = [int(error[cell][m]) for cell in cells[:4]]
      terms += [abs(W - NW), abs(NW - N), abs(N - NE)]
      activity = sum(x * y for x, y in zip(t[1:8], terms))
      total = ((t[0] * int(scale[m]) + 64 * activity) >> 12) + t[8]
      means[m] = max(-(2**26 - 1), min(2**26 - 1, mean))
      scales[m] = max(0, min(2**26 - 1, total))
  return np.concatenate([means, scales])


def _context(known, side, i, j, model, base):
  window = [(a, b) for a in range(-2, 3) for b in range(-2, 3)]
  if base == "context":
    taps = [(a, b) for a, b in window if a < 0 or (a == 0 and b < 0)]
  else:
    taps = [(a, b) for a, b in window if (a + b) % 2 == 1]
  # The layer of taps is a layer of blocks that are not quite full.
  room = model["control/context_0/weight"].shape[2]
  x = np.zeros((len(taps), room), np.int64)
  for t, (a, b) in enumerate(taps):
    x[t, : known.shape[2]] = known[i + 2 + a, j + 2 + b]
  bias = model["control/context_0/bias"]
  w = _layer(x.ravel(), model, 0) + bias
  w = _leak(_layer(_clip16((w + 32) >> 6), model, 1) + side)
  bias = model["control/context_2/bias"]
  w = _leak(_layer(_clip16((w + 32) >> 6), model, 2) + bias)
  bias = model["control/context_3/bias"]
  w = _layer(_clip16((w + 32) >> 6), model, 3) + bias
  return np.clip(w, -(2**26 - 1), 2**26 - 1)


def _layer(x, model, k):
  weight = model[f"control/context_{k}/weight"].astype(np.int64)
  room = weight.shape[2]
  total = 0
  for block in range(weight.shape[0]):
    part = x[block * room : (block + 1) * room]
    total = total + weight[block, :, : part.size] @ part
  return _shift(total, model[f"control/context_{k}/shift"] - 6)


def _clip16(x):
  return np.clip(x, -(2**15 - 1), 2**15 - 1)


def _leak(x):
  return np.maximum(x, (13 * x) >> 6)


def _activate(x, hyperprior):
  if hyperprior:
    return np.clip(x, 0, 2**22 - 1)
  return _leak(np.clip(x, -(2**22 - 1), 2**22 - 1))


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
