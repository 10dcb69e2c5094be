"""What calls in `<model>_infer` are given: values and parts of them, constants, scratch.

`templates/c/model/expressions.c.j2` prints them. A value is named by its key, which is its name in the graph, or for a
copy of a part of one its name in the plan. `Program.variables` says what it is called in C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinycompile.planner.stage import Span


@dataclass(frozen=True)
class Variable:
    """A pointer in `<model>_infer`: where a value, or a copy of a part of one, is in memory.

    Attributes:
        offset: in bytes from the start of `memory`, which is "arena" or "state".
    """

    name: str
    ctype: str
    memory: str
    offset: int


@dataclass(frozen=True)
class Place:
    """A value from an element on: `offset + n * step`, where n is the turn."""

    kind: ClassVar[str] = "place"
    value: str
    offset: int = 0
    step: int = 0


@dataclass(frozen=True)
class Position:
    """Along an axis, the first position of a turn: `turn * step - before`; with a step of 0 it is always the same."""

    turn: str
    step: int
    before: int = 0

    @staticmethod
    def of(turn: str, span: Span | None) -> Position:
        """Of a span; None stands for the whole axis."""
        return Position(turn, 0) if span is None else Position(turn, span.step, span.before)


def here(copy: str) -> str:
    """Key of the pointer to what a turn reads of a value: the copy, or the value itself where none is needed."""
    return f"{copy} in turn n"


@dataclass(frozen=True)
class _Part:
    """What a turn reads of a value. `copy`: key of the memory for a copy of it."""

    value: str
    copy: str

    @property
    def here(self) -> str:
        return here(self.copy)


@dataclass(frozen=True)
class Rows(_Part):
    """Some rows of a value: in place where all are inside, else copied. `y` is the first of `rows`.

    Attributes:
        height: of the value. row_bytes: of a row. fill: for positions outside.
    """

    kind: ClassVar[str] = "rows"
    height: int
    row_bytes: int
    y: Position
    rows: int
    fill: int


@dataclass(frozen=True)
class Patch(_Part):
    """Some rows and columns of a value, copied.

    Attributes:
        height, width: of the value. pixel_bytes: of all channels of one position. y, rows, x, columns: which part.
        fill: see `Rows`.
    """

    kind: ClassVar[str] = "patch"
    height: int
    width: int
    pixel_bytes: int
    y: Position
    rows: int
    x: Position
    columns: int
    fill: int


@dataclass(frozen=True)
class Crop(_Part):
    """Columns [x, x + columns) of a patch that is `width` wide, from element `offset` on, copied."""

    kind: ClassVar[str] = "crop"
    offset: int
    width: int
    pixel_bytes: int
    rows: int
    x: int
    columns: int


@dataclass(frozen=True)
class ConstantName:
    """A constant array, from element `offset + n * step` on; `separate` if it is a member of the weights' file."""

    kind: ClassVar[str] = "constant"
    name: str
    separate: bool
    offset: int = 0
    step: int = 0


@dataclass(frozen=True)
class Scratch:
    """The layer's working memory, from a byte on."""

    kind: ClassVar[str] = "scratch"
    offset: int = 0


@dataclass(frozen=True)
class MeetingAndCore:
    """Where two cores meet, and which one calls."""

    kind: ClassVar[str] = "meeting"


@dataclass(frozen=True)
class CallerRows:
    """What the caller's function for rows of an input is told before where to put them: whose, the first, how many.

    Attributes:
        rows: of each turn but the last one, which has `last`. turns: that ask for rows.
    """

    kind: ClassVar[str] = "caller"
    rows: int
    last: int
    turns: int


Argument = Place | Rows | Patch | Crop | ConstantName | Scratch | MeetingAndCore | CallerRows
