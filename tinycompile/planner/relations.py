"""A problem in the form the solvers want: integers in units of the alignment, and for each pair what keeps it apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tinycompile.planner.problem import Alias, Buffer, Overlap, Problem


@dataclass(frozen=True)
class Moment:
    """A step at which something is born: `live` includes `born`, in order of birth."""

    step: int
    live: tuple[Buffer, ...]
    born: tuple[Buffer, ...]


def moments(buffers: Iterable[Buffer]) -> Iterator[Moment]:
    """Every step at which memory is newly needed: the need peaks at one of these."""
    births: dict[int, list[Buffer]] = {}
    for buffer in buffers:
        births.setdefault(buffer.first, []).append(buffer)
    live: tuple[Buffer, ...] = ()
    for step in sorted(births):
        born = tuple(births[step])
        live = tuple(b for b in live if b.last > step) + born
        yield Moment(step, live, born)


class Relations:
    """Distances between buffers, in units.

    Attributes:
        unit: bytes; the largest alignment, to which every offset is rounded.
        shift: where a buffer lies relative to the others of its alias group.
        group: the name of the group, the same for buffers at a fixed distance from each other.
    """

    def __init__(self, problem: Problem) -> None:
        extra = [b for options in problem.options.values() for option in options for b in option.buffers]
        buffers = (*problem.buffers, *extra)
        self.unit = max((b.align for b in buffers), default=1)
        self.size = {b.name: self.units(b.size) for b in buffers}
        self.group, self.shift = _alias_groups(buffers, problem.aliases, self.unit)
        self._floor, self._reach = self._extents(buffers)

    def units(self, size: int) -> int:
        return -(-size // self.unit)

    def floor(self, name: str) -> int:
        """The lowest offset at which nothing of the buffer's group lies below the arena."""
        return self.shift[name] - self._floor[self.group[name]]

    def reach(self, name: str) -> int:
        """How far the buffer's group reaches above the buffer's offset."""
        return self._reach[self.group[name]] - self.shift[name]

    def distances(self, overlaps: Iterable[Overlap]) -> dict[tuple[str, str], int]:
        """(a, b) -> units by which a must lie above b where the two may share memory."""
        return {(o.upper, o.lower): min(self.units(o.distance), self.size[o.lower]) for o in overlaps}

    def _extents(self, buffers: Sequence[Buffer]) -> tuple[dict[str, int], dict[str, int]]:
        floor, reach = dict[str, int](), dict[str, int]()
        for b in buffers:
            group, low = self.group[b.name], self.shift[b.name]
            floor[group] = min(floor.get(group, low), low)
            reach[group] = max(reach.get(group, low), low + self.size[b.name])
        return floor, reach


def _alias_groups(
    buffers: Sequence[Buffer], aliases: Sequence[Alias], unit: int
) -> tuple[dict[str, str], dict[str, int]]:
    """For every buffer the outermost whole it is part of, and its offset there in units."""
    wholes = {alias.part: alias for alias in aliases}
    if any(alias.offset % unit for alias in aliases):
        raise ValueError("an alias lies at an offset that breaks the alignment")
    group, shift = dict[str, str](), dict[str, int]()
    for buffer in buffers:
        name, offset = buffer.name, 0
        while name in wholes:
            name, offset = wholes[name].whole, offset + wholes[name].offset // unit
        group[buffer.name], shift[buffer.name] = name, offset
    return group, shift
