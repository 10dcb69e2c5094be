"""Places buffers in one arena: iterated greedy placement, stopped by a lower bound.

Each round places the groups of buffers one by one, every one at its lowest feasible address; the first rounds take
them by size and by time, later ones move the buffers of the peak forward or shuffle. Deterministic.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

from tinycompile.planner.problem import Buffer, Overlap, Plan, Problem, whole_units

ROUNDS = 120
EFFORT = 2_000_000
"""Limit on rounds x buffers^2, so that large graphs stay fast."""

Blocked = tuple[int, int, int]
"""(another buffer in use at the same time, both ends of the open interval in which the group can't be placed), relative
to that buffer's place; buffers by their number in the problem."""

Offsets = list[int | None]
"""Of each buffer, None where it isn't placed."""


@dataclass(frozen=True, eq=False)
class Group:
    """Buffers that are placed together.

    Attributes:
        first: the first one. members: (number, displacement, size) of all.
        least: the lowest address of the group at which none begins below the arena.
        blocked: where it can't be, of all of its buffers.
    """

    first: Buffer
    members: tuple[tuple[int, int, int], ...]
    least: int
    blocked: tuple[Blocked, ...]


@dataclass(frozen=True, eq=False)
class Start:
    """What the first rounds found.

    Attributes:
        order: in which groups are placed. offsets: where that leads. top: one past the highest address in use.
    """

    problem: Problem
    order: list[Group]
    offsets: Offsets
    top: int

    @staticmethod
    def of(problem: Problem) -> Start:
        sizes = [buffer.size for buffer in problem.buffers]
        starts = [(_greedy(order, 0, [None] * len(sizes)), order) for order in _first_orders(problem)]
        best, order = min(starts, key=lambda start: _top(sizes, start[0]))
        return Start(problem, order, best, _top(sizes, best))

    def improved(self, bound: int, rounds: int = ROUNDS) -> Plan:
        """By the other rounds; see `place`."""
        generator = random.Random(0)  # noqa: S311 - a fixed sequence, nothing secret
        sizes = [buffer.size for buffer in self.problem.buffers]
        order, best, best_size = self.order, self.offsets, self.top
        limit = min(rounds, max(8, EFFORT // max(1, len(sizes)) ** 2))
        for attempt in range(limit):
            if best_size <= bound:
                break
            source, target = _next_move(order, best, best_size, generator, attempt)
            candidate = list(order)
            candidate.insert(target, candidate.pop(source))
            offsets = _greedy(candidate, min(source, target), best, best_size)
            if offsets is not None:
                order, best, best_size = candidate, offsets, _top(sizes, offsets)
        return Plan(_named(self.problem, order, best), best_size, min(bound, best_size))


def place(problem: Problem, bound: int, rounds: int = ROUNDS) -> Plan:
    """A placement of small size.

    Args:
        bound: bytes that no placement can be below; the search ends when it is reached.
    """
    return Start.of(problem).improved(bound, rounds) if problem.buffers else Plan()


def in_order(problem: Problem, key: Callable[[Buffer], float]) -> dict[str, int]:
    """Offsets where every group is at its lowest free address, those with a buffer of the lowest key first; of equals
    the largest."""
    keys = [key(buffer) for buffer in problem.buffers]

    def rank(group: Group) -> tuple[float, int, int, str]:
        least = min(keys[number] for number, _, _ in group.members)
        return least, -max(size for _, _, size in group.members), group.first.first, group.first.name

    order = sorted(_groups(problem), key=rank)
    return _named(problem, order, _greedy(order, 0, [None] * len(keys)))


def _named(problem: Problem, order: Sequence[Group], offsets: Offsets) -> dict[str, int]:
    """By the buffers' names, in the order in which they were placed."""
    numbers = (number for group in order for number, _, _ in group.members)
    return {problem.buffers[n].name: at for n in numbers if (at := offsets[n]) is not None}


def _top(sizes: Sequence[int], offsets: Offsets) -> int:
    """One past the highest address in use."""
    return max((at + size for at, size in zip(offsets, sizes, strict=True) if at is not None), default=0)


def height(problem: Problem, offsets: Mapping[str, int]) -> int:
    """One past the highest address in use."""
    return max((offsets[buffer.name] + buffer.size for buffer in problem.buffers), default=0)


def _first_orders(problem: Problem) -> list[list[Group]]:
    """By size, by time, and backwards in time: in a chain of overlaps every output lies below its input."""
    groups, births = _groups(problem), [buffer.first for buffer in problem.buffers]
    first = {id(group): min(births[number] for number, _, _ in group.members) for group in groups}
    by_size = sorted(groups, key=lambda g: (-max(size for _, _, size in g.members), g.first.first, g.first.name))
    by_time = sorted(by_size, key=lambda g: first[id(g)])
    return [by_size, by_time, sorted(by_size, key=lambda g: -first[id(g)])]


def _groups(problem: Problem) -> list[Group]:
    groups, blocked = defaultdict[str, list[int]](list), _blocked(problem)
    for number, buffer in enumerate(problem.buffers):
        groups[buffer.base].append(number)
    found = list[Group]()
    for numbers in groups.values():
        buffers = [problem.buffers[number] for number in numbers]
        members = tuple((n, b.displacement, b.size) for n, b in zip(numbers, buffers, strict=True))
        least = max(0, -min(b.displacement for b in buffers))
        found.append(Group(buffers[0], members, least, tuple(each for number in numbers for each in blocked[number])))
    return found


def _blocked(problem: Problem) -> list[list[Blocked]]:
    """For every buffer, what those of other groups that are in use at the same time keep its group from."""
    allowed = {(overlap.upper, overlap.lower): overlap for overlap in problem.overlaps}
    found: list[list[Blocked]] = [[] for _ in problem.buffers]
    ordered = sorted(enumerate(problem.buffers), key=lambda each: each[1].first)
    for index, (number, a) in enumerate(ordered):
        for other, b in ordered[index + 1 :]:
            if b.first >= a.last:
                break
            if a.base == b.base:
                continue
            above, below = allowed.get((a.name, b.name)), allowed.get((b.name, a.name))
            found[number] += ((other, *interval) for interval in _intervals(a, b, above, below))
            found[other] += ((number, *interval) for interval in _intervals(b, a, below, above))
    return found


def _intervals(
    buffer: Buffer, other: Buffer, as_upper: Overlap | None, as_lower: Overlap | None
) -> Iterator[tuple[int, int]]:
    """Between the places below and above the other buffer, as far as sharing memory with it isn't allowed."""
    below, above = -buffer.size, other.size
    places = list[int]()
    if as_upper is not None:
        distance = whole_units(as_upper.distance)
        if not as_upper.exact:
            above = min(above, distance)
        elif distance == as_upper.distance:
            places.append(distance)
    if as_lower is not None:
        distance = -whole_units(as_lower.distance)
        if not as_lower.exact:
            below = max(below, distance)
        elif distance == -as_lower.distance:
            places.append(distance)
    ends = [below, *sorted(place for place in places if below < place < above), above]
    for begin, end in pairwise(ends):
        yield begin - buffer.displacement, end - buffer.displacement


@overload
def _greedy(order: Sequence[Group], first: int, known: Offsets) -> Offsets: ...
@overload
def _greedy(order: Sequence[Group], first: int, known: Offsets, most: int) -> Offsets | None: ...
def _greedy(order: Sequence[Group], first: int, known: Offsets, most: int | None = None) -> Offsets | None:
    """Every group at its lowest address beside those before it; None where one would end above `most`.

    Args:
        first: those before this one are where they are `known` to be.
    """
    offsets = list(known)
    for group in order[first:]:
        for number, _, _ in group.members:
            offsets[number] = None
    for group in order[first:]:
        base = group.least
        intervals = [
            (at + begin, at + end) for other, begin, end in group.blocked if (at := offsets[other]) is not None
        ]
        intervals.sort()
        for begin, end in intervals:
            if base <= begin:
                break
            base = max(base, end)
        for number, displacement, size in group.members:
            offsets[number] = base + displacement
            if most is not None and base + displacement + size > most:
                return None
    return offsets


def _next_move(
    order: Sequence[Group], offsets: Offsets, top: int, generator: random.Random, attempt: int
) -> tuple[int, int]:
    """(from, to) in the order of the next round: of a group at the top of the arena forward, or of any group."""
    if attempt % 2:
        return generator.randrange(len(order)), generator.randrange(len(order))
    ends = [i for i, g in enumerate(order) if any((offsets[n] or 0) + size == top for n, _, size in g.members)]
    source = generator.choice(ends)
    return source, generator.randrange(max(1, source))
