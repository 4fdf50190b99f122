"""Reads the text of a compiled program: XLA's HLO, after all passes.

Only what `traffic` counts is read: computations, their instructions, and of
these the shapes, operands, called computations and source.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re

_ARRAY = re.compile(r"([a-z][a-z0-9]*)\[([0-9,]*)\](?:\{([^}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\) -> .*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_NAME = re.compile(r"%([\w.\-]+)")
_ROW = re.compile(r"^(\d+) (.*)$")
_FIELD = re.compile(r"(\w+)=(\d+)")
_TABLES = ("FileNames", "FunctionNames", "FileLocations", "StackFrames")
_CALLED = re.compile(
  r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_CONDITION = re.compile(r"condition=%?([\w.\-]+)")
_DIRECTION = re.compile(r"direction=(\w+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of an instruction's result.

  Attributes:
    dtype: XLA's name of the type, as bf16.
    dims: sizes of the axes.
    layout: XLA's text: order of the axes, tiles, memory space.
  """

  dtype: str
  dims: tuple[int, ...]
  layout: str = ""

  @property
  def in_memory(self) -> bool:
    """Whether it lies in the device's main memory, not in one on the chip."""
    space = re.search(r"S\((\d+)\)", self.layout)
    return space is None or space[1] == "0"

  @functools.cached_property
  def bytes(self) -> int:
    """Size without the padding of tiles."""
    return math.ceil(math.prod(self.dims) * _bits(self.dtype) / 8)


def _bits(dtype: str) -> int:
  """Size of an element; 0 of a token."""
  if dtype == "pred":
    return 8
  digits = re.match(r"[a-z]+(\d+)", dtype)  # f8e4m3 too
  return int(digits[1]) if digits else 0


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a computation.

  Attributes:
    name: unique in the program.
    opcode: as `fusion`.
    arrays: of its result, tuples laid flat.
    operands: names.
    called: computations that it runs: of a fusion, a call, a while loop (its
      body) or a conditional (its branches).
    condition: of a while loop, the computation that says whether it goes on.
    trips: of a while loop, how often XLA says that its body runs; else 0.
    op_name: the path of names in the traced program.
    source: `FILE:LINE` in this package, or in what called it.
    is_root: whether it is the result of its computation.
    number: of a parameter.
    text: all of it.
  """

  name: str
  opcode: str
  arrays: tuple[Array, ...]
  operands: tuple[str, ...]
  called: tuple[str, ...]
  condition: str
  trips: int
  op_name: str
  source: str
  is_root: bool
  number: int
  text: str

  @property
  def bytes(self) -> int:
    """Size of the result."""
    return sum(array.bytes for array in self.arrays)


@dataclasses.dataclass(frozen=True)
class Computation:
  """Instructions in the order in which they run, by name."""

  name: str
  instructions: dict[str, Instruction]

  @functools.cached_property
  def root(self) -> Instruction:
    """The one that is the result."""
    return next(i for i in self.instructions.values() if i.is_root)

  @functools.cached_property
  def parameters(self) -> dict[int, Instruction]:
    """By their numbers."""
    return {
      i.number: i for i in self.instructions.values() if i.opcode == "parameter"
    }

  @functools.cached_property
  def users(self) -> dict[str, list[tuple[Instruction, int]]]:
    """By name: the instructions that read it, and as which operand."""
    users: dict[str, list[tuple[Instruction, int]]] = {}
    for instruction in self.instructions.values():
      for position, name in enumerate(instruction.operands):
        users.setdefault(name, []).append((instruction, position))
    return users


@dataclasses.dataclass(frozen=True)
class Program:
  """A compiled program: its computations by name, and that which is run."""

  computations: dict[str, Computation]
  entry: Computation

  def trips(self, loop: Instruction) -> int:
    """How often the body of a while loop runs.

    For TPUs XLA does not write it down. The counters of `jax.lax.scan` start at
    0 and grow by 1, up to the constant that the condition compares them with.
    For a loop that ends by what it computes it is taken as 1.
    """
    if loop.trips:
      return loop.trips
    condition = self.computations[loop.condition]
    root = condition.root
    direction = _DIRECTION.search(root.text)
    if root.opcode != "compare" or direction is None:
      return 1
    for name in root.operands:
      text = condition.instructions[name].text
      if bound := re.search(r" constant\((\d+)\)", text):
        return int(bound[1]) + (direction[1] in ("LE", "GE"))
    return 1


def parse(text: str) -> Program:
  """The program that `jax.stages.Compiled.as_text` shows.

  Raises:
    ValueError: it is no such text.
  """
  lines = text.splitlines()
  frames = _sources(lines)
  computations, entry, current = {}, None, None
  for line in lines:
    if header := _HEADER.match(line):
      current = Computation(header[2], {})
      computations[current.name] = current
      entry = current if header[1] else entry
    elif line.startswith("}"):
      current = None
    elif current is not None and (match := _LINE.match(line)):
      instruction = _instruction(match, frames)
      current.instructions[instruction.name] = instruction
  if entry is None:
    raise ValueError(
      "this is no compiled HLO text: it has no ENTRY; give what "
      "jax.stages.Compiled.as_text() returns."
    )
  return Program(computations, entry)


def _instruction(match: re.Match, frames: dict[str, str]) -> Instruction:
  kind, after = _split_type(match[3])
  opcode, _, after = after.partition("(")
  end = _closing(after)
  operands, attributes = after[:end], after[end + 1 :]
  called = _CALLED.findall(attributes)
  if branches := _BRANCHES.search(attributes):
    called = [name.strip().lstrip("%") for name in branches[1].split(",")]
  trips = _TRIPS.search(attributes)
  condition = _CONDITION.search(attributes)
  op_name = re.search(r'op_name="([^"]*)"', attributes)
  return Instruction(
    name=match[2],
    opcode=opcode.strip(),
    arrays=tuple(
      Array(dtype, tuple(int(n) for n in dims.split(",") if n), layout)
      for dtype, dims, layout in _ARRAY.findall(kind)
    ),
    operands=tuple(_NAME.findall(operands)),
    called=tuple(called),
    condition=condition[1] if condition else "",
    trips=int(trips[1]) if trips else 0,
    op_name=op_name[1] if op_name else "",
    source=_source(attributes, frames),
    is_root=bool(match[1]),
    number=int(operands) if opcode.strip() == "parameter" else -1,
    text=match[0].strip(),
  )


def _split_type(text: str) -> tuple[str, str]:
  """(type of the result, what comes after it); a tuple is in brackets."""
  if text.startswith("("):
    end = _closing(text[1:]) + 2
    return text[:end], text[end:]
  kind, _, after = text.partition(" ")
  return kind, after


def _closing(text: str) -> int:
  """Where the bracket closes that was open before the text."""
  depth = 1
  for match in re.finditer(r"[()]", text):
    depth += 1 if match[0] == "(" else -1
    if depth == 0:
      return match.start()
  return len(text)


def _sources(lines: list[str]) -> dict[str, str]:
  """`FILE:LINE` of each stack frame, from the tables before the program.

  Of the frames of a stack, the innermost in this package is taken.
  """
  tables: dict[str, dict[str, str]] = {name: {} for name in _TABLES}
  current = None
  for line in lines:
    if line in tables:
      current = tables[line]
    elif current is not None and (row := _ROW.match(line)):
      current[row[1]] = row[2]
    elif line.startswith(("%", "ENTRY")):
      break
  files, _, locations, frames = tables.values()
  sources: dict[str, str] = {}
  for number, row in frames.items():
    fields = dict(_FIELD.findall(row))
    location = dict(_FIELD.findall(locations[fields["file_location_id"]]))
    file = files[location["file_name_id"]].strip('"')
    # The parents are counted from one more than the frames are.
    parent = sources.get(str(int(fields.get("parent_frame_id", 1)) - 1), "")
    sources[number] = _own(file, location["line"]) or parent
  return sources


def _source(attributes: str, frames: dict[str, str]) -> str:
  """`FILE:LINE` of an instruction; empty if it has none."""
  if frame := re.search(r"stack_frame_id=(\d+)", attributes):
    return frames.get(frame[1], "")
  file = re.search(r'source_file="([^"]*)"', attributes)
  line = re.search(r"source_line=(\d+)", attributes)
  return _own(file[1], line[1]) if file and line else ""


def _own(file: str, line: str) -> str:
  """`FILE:LINE` from the package's name on; empty outside of it."""
  _, package, after = file.rpartition("sclc_jax/")
  return f"{package}{after}:{line}" if package else ""
