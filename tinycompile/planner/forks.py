"""Layers that two cores compute at the same time, each other ones: what that means for time and for memory.

What both cores have in use at some time of a fork can't share memory, whoever comes first; what one core alone uses in
it, one after the other, can.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from tinycompile.planner.problem import Buffer, Overlap

MEETING_INSTRUCTIONS = 30
"""Of a core that waits for the other one, which is there already."""

_ANYWHERE = -(1 << 40)
"""Bytes: a distance that all places have."""


@dataclass(frozen=True)
class Fork:
    """Steps [first, last): those of core 0, then those of core 1.

    Attributes:
        second: where those of core 1 begin.
    """

    first: int
    second: int
    last: int

    def core(self, step: int) -> int:
        return int(step >= self.second)

    def includes(self, step: int) -> bool:
        return self.first <= step < self.last


def fork_of(forks: Sequence[Fork], step: int) -> Fork | None:
    return next((fork for fork in forks if fork.includes(step)), None)


def total(forks: Sequence[Fork], figures: Sequence[int]) -> int:
    """Of a whole inference, from what each step takes: in a fork that of the core that takes longer."""
    saved = 0
    for fork in forks:
        sides = sum(figures[fork.first : fork.second]), sum(figures[fork.second : fork.last])
        saved += min(sides) - MEETING_INSTRUCTIONS
    return sum(figures) - saved


class Sharing:
    """Which buffers are in use at the same time, where cores go their own ways.

    Args:
        touched: by buffer, the steps that read or write it.
    """

    def __init__(self, forks: Sequence[Fork], touched: Mapping[str, Collection[int]]) -> None:
        self._forks, self._touched = forks, touched

    def is_private(self, name: str, step: int) -> bool:
        """Whether in this step's fork, if it is in one, no other core than the step's touches a buffer."""
        fork = fork_of(self._forks, step)
        return fork is None or self._cores(name, fork) <= {fork.core(step)}

    def widened(self, buffers: Sequence[Buffer]) -> tuple[Buffer, ...]:
        """In use during the whole of a fork in which they begin or end."""
        return tuple(map(self._widened, buffers)) if self._forks else tuple(buffers)

    def free(self, buffers: Sequence[Buffer]) -> Iterator[Overlap]:
        """Pairs that may share memory although their forks overlap: one core is done with one of them before it needs
        the other.

        Args:
            buffers: with the steps in which they are in use; of a pair the earlier one is the upper.
        """
        for fork in self._forks:
            inside = [b for b in buffers if b.first < fork.last and b.last > fork.first]
            for a, b in combinations(inside, 2):
                if not a.live_with(b) and len(self._cores(a.name, fork) | self._cores(b.name, fork)) == 1:
                    yield Overlap(a.name, b.name, _ANYWHERE)

    def _cores(self, name: str, fork: Fork) -> set[int]:
        return {fork.core(step) for step in self._touched.get(name, ()) if fork.includes(step)}

    def _widened(self, buffer: Buffer) -> Buffer:
        first, last = buffer.first, buffer.last
        for fork in self._forks:
            first = fork.first if fork.first < first < fork.last else first
            last = fork.last if fork.first < last < fork.last else last
        return Buffer(buffer.name, buffer.size, first, last, buffer.group, buffer.displacement)
