"""The loops of the portable range coder, one symbol after another.

Python that numba compiles as it stands (int32 tables, symbols and indexes;
sums and products are of 64 bits), and that runs as it stands on lists.
"""

import numpy as np


def encode(cdf, starts, symbols, indexes):
  """Codes symbols: their bytes, uint8 [n].

  Args:
    cdf: of `RangeTables`.
    starts: of `RangeTables`.
    symbols: in -2**30 ... 2**30, less the offset of their row.
    indexes: row of each.
  """
  out = np.empty(len(symbols) // 2 + 64, np.uint8)  # grows
  n = 0
  base, size1, digit, zeros = 0, 0xFFFFFFFF, 0, 0
  # `digit` > 0 is a 16-bit digit held back, as a carry may still lower it by
  # one; `zeros` bytes follow it.
  for j in range(len(symbols)):
    start, stop = starts[indexes[j]], starts[indexes[j] + 1]
    value = symbols[j]
    last = stop - start - 3
    sign, gamma = 0, 0
    if value < 0:
      sign, gamma, value = 1, -value, last
    elif value >= last:
      gamma, value = value - last + 1, last
    bits = 0
    while gamma >> bits:
      bits += 1
    # One interval for the symbol; an escape adds bits - 1 zeros, `bits` bits
    # and the sign, each at precision 1.
    count = 1 if gamma == 0 else 2 * bits + 1
    for k in range(count):
      if k == 0:
        precision = -cdf[start]
        low = cdf[start + 1 + value]
        high = cdf[start + 2 + value]
      else:
        if k < bits:
          bit = 0
        elif k < 2 * bits:
          bit = (gamma >> (2 * bits - 1 - k)) & 1
        else:
          bit = sign
        precision, low, high = 1, bit, bit + 1
      size = size1 + 1
      a = (size * low) >> precision
      b = ((size * high) >> precision) - 1
      base = base + a
      overflow = base > 0xFFFFFFFF
      base &= 0xFFFFFFFF
      size1 = b - a
      if n + zeros + 64 > out.size:
        grown = np.empty(2 * (out.size + zeros + 64), np.uint8)
        grown[:n] = out[:n]
        out = grown
      if base + size1 > 0xFFFFFFFF:
        if size1 >> 16 == 0:
          base = (base << 16) & 0xFFFFFFFF
          size1 = (size1 << 16) | 0xFFFF
          zeros += 2
        continue
      if digit:
        fill = 0
        if not overflow:
          digit -= 1
          fill = 255
        out[n], out[n + 1] = digit >> 8, digit & 255
        n += 2
        for _ in range(zeros):
          out[n] = fill
          n += 1
        digit, zeros = 0, 0
      if size1 >> 16 == 0:
        top = base >> 16
        base = (base << 16) & 0xFFFFFFFF
        size1 = (size1 << 16) | 0xFFFF
        if base + size1 <= 0xFFFFFFFF:
          out[n], out[n + 1] = top >> 8, top & 255
          n += 2
        else:
          digit = top + 1
  # The shortest number inside the interval; trailing zeros are implied.
  if digit:
    out[n] = digit >> 8
    n += 1
    if digit & 255:
      out[n] = digit & 255
      n += 1
  elif base:
    top = ((base - 1) >> 24) + 1
    if top <= (base + size1) >> 24:
      out[n] = top
      n += 1
    else:
      top = ((base - 1) >> 16) + 1
      out[n] = top >> 8
      n += 1
      if top & 255:
        out[n] = top & 255
        n += 1
  return out[:n]


def decode(cdf, starts, data, state, indexes, out):
  """Decodes the next symbols into `out`; False where an escape has no end.

  Args:
    cdf: of `RangeTables`.
    starts: of `RangeTables`.
    data: the coded bytes.
    state: position, value, base and size less 1, from one call to the next.
    indexes: row of each symbol.
    out: as long; symbols less the offset of their row.
  """
  at, value, base, size1 = state
  for j in range(len(indexes)):
    start, stop = starts[indexes[j]], starts[indexes[j] + 1]
    last = stop - start - 3
    phase, prefix, remaining = 0, 0, 0
    gamma, symbol = 0, 0
    while True:
      size = size1 + 1
      precision = -cdf[start] if phase == 0 else 1
      target = (((value - base) & 0xFFFFFFFF) + 1) << precision
      if phase == 0:
        # First boundary that reaches the target.
        low, high = start + 2, stop - 1
        while low < high:
          middle = (low + high) >> 1
          if size * cdf[middle] >= target:
            high = middle
          else:
            low = middle + 1
        lower, upper = cdf[low - 1], cdf[low]
        symbol = low - start - 2
      else:
        bit = 0 if size >= target else 1
        lower, upper = bit, bit + 1
      a = (size * lower) >> precision
      b = ((size * upper) >> precision) - 1
      base = (base + a) & 0xFFFFFFFF
      size1 = b - a
      if size1 < 0:
        return False
      if size1 >> 16 == 0:
        base = (base << 16) & 0xFFFFFFFF
        size1 = (size1 << 16) | 0xFFFF
        for _ in range(2):
          value = (value << 8) & 0xFFFFFFFF
          if at < len(data):
            value |= data[at]
          at += 1
      if phase == 0:
        if symbol != last:
          break
        phase = 1
      elif phase == 1:  # zeros, up to the leading one
        if bit == 0:
          prefix += 1
          if prefix > 31:
            return False
        else:
          gamma, remaining = 1, prefix
          phase = 2 if remaining else 3
      elif phase == 2:
        gamma = (gamma << 1) | bit
        remaining -= 1
        if remaining == 0:
          phase = 3
      else:
        symbol = -gamma if bit else gamma + last - 1
        break
    if symbol > 0x7FFFFFFF or symbol < -0x80000000:
      return False
    out[j] = symbol
  state[0], state[1], state[2], state[3] = at, value, base, size1
  return True
