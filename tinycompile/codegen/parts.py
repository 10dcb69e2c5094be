"""What a program consists of: functions and constants with their names, values in memory, layers, states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from tinycompile.codegen.arguments import Argument, ConstantName
from tinycompile.codegen.halves import HalfCall
from tinycompile.codegen.interface import quantization_text
from tinycompile.codegen.names import comment_text, layer_comment
from tinycompile.ir import Node, TensorType
from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.kernels.cover import part_nodes
from tinycompile.planner.stage import Lines

NOTES_WIDTH = 110  # of a comment's lines
LONGEST_NOTE = 400


@dataclass(frozen=True)
class NamedFunction:
    """A function and the name it got in this program."""

    name: str
    function: Function


@dataclass(frozen=True, eq=False)
class NamedConstant:
    """A constant array, its name in this program and the first layer that uses it.

    Attributes:
        cold: it goes to external flash.
    """

    name: str
    constant: Constant
    owner: str
    cold: bool = False


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value in RAM. `offset` in bytes.

    Attributes:
        lines: what of it is there, where it is never whole in memory.
        memory: which one: "arena", or "state" for what survives a step.
    """

    name: str
    type: TensorType
    offset: int
    lines: Lines | None = None
    memory: str = "arena"

    @property
    def end(self) -> int:
        return self.offset + (self.type.bytes if self.lines is None else self.lines.bytes)

    def describe(self) -> str:
        """Shape, type, quantisation and place, for a comment."""
        place = f"{self.memory}[{self.offset}..{self.end - 1}]"
        return f"{self.type}{quantization_text(self.type)}{self._part()}, {place}"

    def _part(self) -> str:
        if self.lines is None:
            return ""
        if self.lines.columns is not None:
            return f", {self.lines.rows}x{self.lines.columns.size} of it"
        return f", {self.lines.rows} row{'s' if self.lines.rows > 1 else ''} of it"


@dataclass(frozen=True, eq=False)
class Layer:
    """One call in `<model>_infer`, or no call where the result is its operand's memory.

    Attributes:
        name: a short identifier, of its own among all layers and states.
        function: what is called.
        scratch: offset in the arena of its working memory; None if it has none, or has it in a memory of its own.
        halves: what each of two cores calls, where both compute.
    """

    index: int
    node: Node
    kernel: Kernel
    name: str
    function: str
    arguments: tuple[Argument, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    scratch: int | None = None
    halves: tuple[HalfCall, ...] = ()

    def comment_lines(self) -> list[str]:
        names = " + ".join(f'"{layer_comment(part.name)}"' for part in part_nodes(self.node))
        lines = [f"{self.index}: {self.node.op.title} {names}"]
        lines += [f"   in   {tensor.describe()}" for tensor in self.inputs]
        lines += [f"   out  {tensor.describe()}" for tensor in self.outputs]
        notes = [comment_text(f"{key}: {value}", LONGEST_NOTE) for key, value in self.kernel.notes.items()]
        return [*lines, *_filled([self.kernel.variant, *notes])]


def _filled(notes: Sequence[str]) -> list[str]:
    """With semicolons between them, several in a line where they fit, one in several where it is longer than a line."""
    lines = [f"   {notes[0]}"]
    for note in notes[1:]:
        together = f"{lines[-1]}; {note}"
        if len(together) <= NOTES_WIDTH:
            lines[-1] = together
        else:
            wrapped = wrap(note, NOTES_WIDTH, initial_indent="   ", subsequent_indent="     ", break_on_hyphens=False)
            lines[-1:] = [f"{lines[-1]};", *wrapped]
    return lines


@dataclass(frozen=True, eq=False)
class StateMemory:
    """Where a state is, and what it begins with.

    Attributes:
        fill: the byte that it is full of; None where it begins with `initial`, a constant array, `times` one behind the
            other.
    """

    tensor: Tensor
    fill: int | None
    initial: ConstantName | None
    times: int = 1

    @property
    def initial_bytes(self) -> int:
        return self.tensor.type.bytes // self.times
