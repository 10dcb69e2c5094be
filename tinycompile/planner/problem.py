"""The planner's data: buffers with lifetimes, pairs that may share memory, and where everything ended up.

A step is the execution of one node; step n (after the last node) is the time at which the caller reads the outputs.
Intervals are half open. Sizes and addresses are bytes, multiples of `UNIT`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

UNIT = 8
"""Alignment of every buffer, in bytes: that of the widest C type in the arena."""


def whole_units(size: int, unit: int = UNIT) -> int:
    """The next multiple of `unit`."""
    return -(-size // unit) * unit


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """Bytes in the union of half-open spans."""
    total, end = 0, None
    for start, stop in sorted(spans):
        total += max(0, stop - (start if end is None else max(start, end)))
        end = stop if end is None else max(end, stop)
    return total


@dataclass(frozen=True)
class Buffer:
    """Memory of `size` bytes that is in use during the steps [first, last).

    Attributes:
        group: buffers of one group have fixed distances; empty for a group of its own, named like the buffer.
        displacement: address relative to that of the group.
    """

    name: str
    size: int
    first: int
    last: int
    group: str = ""
    displacement: int = 0

    @property
    def base(self) -> str:
        """What the buffer moves with."""
        return self.group or self.name

    def live_with(self, other: Buffer) -> bool:
        return self.first < other.last and other.first < self.last


@dataclass(frozen=True)
class Overlap:
    """`lower`, an output born at the step at which the input `upper` dies, may share its memory where
    offset(upper) - offset(lower) >= distance; if `exact`, only where it is equal.
    """

    upper: str
    lower: str
    distance: int
    exact: bool = False

    def allows(self, upper: int, lower: int) -> bool:
        """Whether these offsets may share memory."""
        return upper - lower == self.distance if self.exact else upper - lower >= self.distance


@dataclass(frozen=True)
class Problem:
    """What has to be placed."""

    buffers: tuple[Buffer, ...]
    overlaps: tuple[Overlap, ...] = ()


class Places(Mapping[str, int]):
    """Offsets in bytes, by name, that are looked for when somebody asks for one: most plans are only compared by size.

    Args:
        find: is called once at most.
    """

    def __init__(self, find: Callable[[], Mapping[str, int]]) -> None:
        self._find: Callable[[], Mapping[str, int]] | None = find

    @cached_property
    def _found(self) -> Mapping[str, int]:
        found = dict[str, int]() if self._find is None else self._find()
        self._find = None  # and all that it knows
        return found

    def __getitem__(self, name: str) -> int:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass(frozen=True)
class Plan:
    """Where everything is, in bytes from the start of the arena.

    Attributes:
        lower_bound_bytes: no placement of this order and these kernels needs less.
    """

    offsets: Mapping[str, int] = field(default_factory=dict[str, int])
    arena_bytes: int = 0
    lower_bound_bytes: int = 0
