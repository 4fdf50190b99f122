"""Counts what a compiled program moves through the device's main memory.

Of each operation: the operands and results that lie there (HBM on
accelerators). What lies on the chip, of which XLA's layouts say `S(1)`, does
not count; XLA's own 'bytes accessed' counts it too. Of an operand that is only
sliced the slices count, of an array that is updated in place the update.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from sclc_jax.plan.hlo import Array, Computation, Instruction, Program

# They move nothing: names for what is there.
_FREE = frozenset((
  "parameter", "constant", "tuple", "get-tuple-element", "bitcast",
  "after-all", "partition-id", "replica-id", "opt-barrier", "add-dependency",
  "domain",
))  # fmt: skip
# XLA's own: room for a result, several arrays read as one, a promise.
_FREE_CALLS = ("AllocateBuffer", "ConcatBitcast", "AssumeGatherIndicesInBound")
_SLICES = frozenset(("slice", "dynamic-slice", "gather"))
_COLLECTIVES = (
  "all-reduce", "all-gather", "reduce-scatter", "all-to-all",
  "collective-permute", "collective-broadcast", "send", "recv",
)  # fmt: skip
_MOVES = _FREE | _SLICES | frozenset((
  "copy", "transpose", "reshape", "pad", "concatenate", "broadcast", "iota",
  "dynamic-update-slice", "reverse",
))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Operation:
  """What one instruction moves, each time that it runs.

  Attributes:
    name: of the instruction.
    kind: `convolution` (products of matrices too), `copy` (nothing but other
      layouts, slices and padding), `collective`, or `other`.
    read: bytes of operands in main memory.
    written: bytes of results there.
    size: bytes of the result, wherever it lies.
    times: how often it runs in a step.
    beside: whether it runs beside others, as copies from and to the chip do.
    op_name: the path of names in the traced program.
    source: `FILE:LINE` of the package.
    shape: of the result.
  """

  name: str
  kind: str
  read: int
  written: int
  size: int
  times: float
  beside: bool
  op_name: str
  source: str
  shape: str

  @property
  def bytes(self) -> float:
    """Moved in a step."""
    return (self.read + self.written) * self.times


def operations(program: Program, steps: int = 1) -> list[Operation]:
  """Every operation that runs, in the order of the program.

  The bodies of loops count as often as they run. Of the branches of a
  conditional the one that moves least counts: what comes now and then, as the
  renewal of SOAP's bases, is left out.

  Args:
    program: of one call.
    steps: training steps in the call.
  """
  return list(_walk(program, program.entry, 1 / steps))


def total(listed: Iterable[Operation]) -> float:
  """Bytes moved in a step."""
  return sum(operation.bytes for operation in listed)


def _walk(
  program: Program, computation: Computation, times: float
) -> Iterator[Operation]:
  for instruction in computation.instructions.values():
    opcode = instruction.opcode
    called = [program.computations[name] for name in instruction.called]
    if opcode == "while":
      trips = program.trips(instruction)
      yield from _walk(program, called[0], times * trips)
    elif opcode == "conditional":
      branches = [list(_walk(program, branch, times)) for branch in called]
      yield from min(branches, key=total)
    elif opcode == "call":
      yield from _walk(program, called[0], times)
    elif not _moves_nothing(instruction):
      yield _operation(program, computation, instruction, times)


def _moves_nothing(instruction: Instruction) -> bool:
  """Also the first halves of asynchronous pairs: the second ones count."""
  opcode = instruction.opcode
  if opcode == "dynamic-update-slice":
    return False
  return (
    opcode in _FREE
    or opcode in ("send", "recv")
    or opcode.endswith(("-start", "-update"))
    or any(f'call_target="{t}"' in instruction.text for t in _FREE_CALLS)
  )


def _operation(
  program: Program,
  computation: Computation,
  instruction: Instruction,
  times: float,
) -> Operation:
  """Of an asynchronous pair, `instruction` is the end that gives the result."""
  start = instruction
  while start.opcode.endswith(("-done", "-update")):
    start = computation.instructions[start.operands[0]]
  counter = _Counter(program)
  # What begins gives an array for itself; its operands may be tuples of them.
  read = sum(
    counter.read(computation, start, position, instruction)
    for position in range(len(start.operands))
  )
  origin = _origin(computation, start)
  return Operation(
    name=start.name,
    kind=_kind(program, start),
    read=read,
    written=counter.written(computation, instruction),
    size=instruction.bytes or start.bytes,
    times=times,
    beside=start is not instruction,
    op_name=origin.op_name,
    source=origin.source,
    shape=", ".join(
      f"{a.dtype}[{','.join(map(str, a.dims))}]" for a in instruction.arrays
    ),
  )


def _origin(computation: Computation, instruction: Instruction) -> Instruction:
  """What says where an instruction comes from: copies often do not."""
  while not instruction.op_name and instruction.operands:
    before = computation.instructions.get(instruction.operands[0])
    if before is None:
      break
    instruction = before
  return instruction


def _in_memory(arrays: Iterable[Array]) -> int:
  return sum(array.bytes for array in arrays if array.in_memory)


@dataclasses.dataclass(frozen=True)
class _Counter:
  """Bytes that an instruction reads and writes in main memory."""

  program: Program

  def read(
    self,
    computation: Computation,
    instruction: Instruction,
    position: int,
    result: Instruction,
  ) -> int:
    """Bytes of one operand.

    Args:
      computation: that of the instruction.
      instruction: that reads.
      position: of the operand.
      result: what has the result, the end of an asynchronous pair.
    """
    operand = computation.instructions.get(instruction.operands[position])
    if operand is None or operand.opcode == "constant":
      return 0
    whole = _in_memory(operand.arrays)
    opcode = instruction.opcode.removesuffix("-start")
    used = self._used(instruction, opcode, position, result.bytes)
    return whole if used is None else min(whole, used)

  def _used(
    self, instruction: Instruction, opcode: str, position: int, size: int
  ) -> int | None:
    """Bytes of an operand that an instruction uses; None if all."""
    if opcode in _SLICES and position == 0:
      return size
    if opcode == "dynamic-update-slice" and position == 0:
      return 0
    if opcode in ("fusion", "async") and instruction.called:
      fused = self.program.computations[instruction.called[0]]
      return self._used_inside(fused, fused.parameters[position])
    return None

  def _used_inside(self, fused: Computation, value: Instruction) -> int | None:
    """Bytes of a value that a fused computation uses; None if all."""
    used = 0
    for user, position in fused.users.get(value.name, ()):
      if user.opcode == "bitcast":
        part = self._used_inside(fused, user)
      else:
        part = self._used(user, user.opcode, position, user.bytes)
      if part is None:
        return None
      used += part
    return used

  def written(self, computation: Computation, result: Instruction) -> int:
    """Bytes of the result."""
    if result.opcode == "dynamic-update-slice":
      updated = computation.instructions[result.operands[1]]
      return min(_in_memory(result.arrays), updated.bytes)
    if result.opcode != "fusion":
      return _in_memory(result.arrays)
    fused = self.program.computations[result.called[0]]
    root = fused.root
    parts = (
      [fused.instructions[name] for name in root.operands]
      if root.opcode == "tuple"
      else [root]
    )
    if len(parts) != len(result.arrays):
      return _in_memory(result.arrays)
    return sum(
      min(array.bytes, _updated(fused, part))
      for array, part in zip(result.arrays, parts, strict=True)
      if array.in_memory
    )


def _updated(fused: Computation, part: Instruction) -> int:
  """Bytes that one part of a fused result has new."""
  while part.opcode == "bitcast":
    part = fused.instructions[part.operands[0]]
  if part.opcode == "dynamic-update-slice":
    return fused.instructions[part.operands[1]].bytes
  return part.bytes


def _kind(program: Program, instruction: Instruction) -> str:
  """See `Operation`."""
  opcodes = set(_opcodes(program, instruction))
  names = {name.removesuffix("-start") for name in opcodes}
  if names & set(_COLLECTIVES):
    return "collective"
  if names & {"convolution", "dot"} or _calls_library(instruction):
    return "convolution"
  return "copy" if names <= _MOVES else "other"


def _calls_library(instruction: Instruction) -> bool:
  """Whether it is cuDNN's or cuBLAS' convolution or product."""
  return instruction.opcode == "custom-call" and any(
    word in instruction.text for word in ("$conv", "$gemm", "$matmul")
  )


def _opcodes(program: Program, instruction: Instruction) -> Iterator[str]:
  """Of all that an instruction consists of."""
  if instruction.opcode in ("fusion", "async-start"):
    for name in instruction.called:
      for part in program.computations[name].instructions.values():
        yield from _opcodes(program, part)
  else:
    yield instruction.opcode


def grouped(
  listed: Iterable[Operation], key: Callable[[Operation], str]
) -> dict[str, float]:
  """Bytes in a step of operations that have a key in common, most first."""
  sums: dict[str, float] = {}
  for operation in listed:
    name = key(operation)
    sums[name] = sums.get(name, 0.0) + operation.bytes
  return dict(sorted(sums.items(), key=lambda item: -item[1]))
