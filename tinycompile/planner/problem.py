"""The planner's data: buffers with lifetimes, pairs that may share memory, and where everything ended up.

A step is the execution of one node; step n (after the last node) is the time at which the caller reads the outputs.
Intervals are half open. Sizes, offsets and distances are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Buffer:
    """Memory of `size` bytes that is in use during the steps [first, last)."""

    name: str
    size: int
    first: int
    last: int
    align: int = 8

    def live_with(self, other: Buffer) -> bool:
        return self.first < other.last and other.first < self.last


@dataclass(frozen=True)
class Overlap:
    """An operand that dies at the step at which the other one, a result, is born: they may share memory
    where offset(upper) - offset(lower) >= distance.

    A loop that runs upwards through memory wants the operand above its result, one that runs downwards below it.
    """

    upper: str
    lower: str
    distance: int


@dataclass(frozen=True)
class Alias:
    """`part` is memory inside `whole`: offset(part) - offset(whole) == offset. It is live when `whole` is born."""

    part: str
    whole: str
    offset: int = 0


@dataclass(frozen=True)
class Option:
    """One way to execute a step: what it costs, the working memory it wants, what it lets share memory."""

    cost: int = 0
    buffers: tuple[Buffer, ...] = ()
    overlaps: tuple[Overlap, ...] = ()


@dataclass(frozen=True)
class Problem:
    """What has to be placed.

    Attributes:
        options: per step that can be executed in several ways, these; one of them is to be chosen.
    """

    buffers: tuple[Buffer, ...]
    overlaps: tuple[Overlap, ...] = ()
    aliases: tuple[Alias, ...] = ()
    options: Mapping[int, tuple[Option, ...]] = field(default_factory=dict)

    def decided(self, choice: Mapping[int, int]) -> Problem:
        """The problem that remains when step s is executed by its option `choice[s]`."""
        chosen = [options[choice[step]] for step, options in self.options.items()]
        return replace(
            self,
            buffers=self.buffers + tuple(b for option in chosen for b in option.buffers),
            overlaps=self.overlaps + tuple(o for option in chosen for o in option.overlaps),
            options={},
        )


@dataclass(frozen=True)
class Plan:
    """Where everything is, in bytes from the start of the arena.

    Attributes:
        arena_bytes: a multiple of the largest alignment.
        lower_bound_bytes: proved: no placement for this order and these kernels needs less.
        method: how the placement was found, for the report.
    """

    offsets: Mapping[str, int] = field(default_factory=dict)
    arena_bytes: int = 0
    lower_bound_bytes: int = 0
    method: str = "nothing to place"

    @property
    def optimal(self) -> bool:
        return self.arena_bytes == self.lower_bound_bytes
