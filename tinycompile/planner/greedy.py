"""Places buffers in one arena: iterated greedy placement, stopped by a lower bound.

Each round places the groups of buffers one by one, every one at its lowest feasible address; the first rounds take
them by size and by time, later ones move the buffers of the peak forward or shuffle. Deterministic.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import overload

from tinycompile.planner.problem import Buffer, Overlap, Plan, Problem, whole_units

ROUNDS = 120
EFFORT = 2_000_000
"""Limit on rounds x buffers^2, so that large graphs stay fast."""

Group = Sequence[Buffer]
Blocked = tuple[str, int, int]
"""(another buffer in use at the same time, both ends of the open interval in which the group can't be placed), relative
to that buffer's place."""


def place(problem: Problem, bound: int, rounds: int = ROUNDS) -> Plan:
    """A placement of small size.

    Args:
        bound: bytes that no placement can be below; the search ends when it is reached.
    """
    if not problem.buffers:
        return Plan()
    blocked = _blocked(problem)
    generator = random.Random(0)  # noqa: S311 - a fixed sequence, nothing secret
    starts = [(_greedy(order, 0, {}, blocked), order) for order in _first_orders(problem)]
    best, order = min(starts, key=lambda start: height(problem, start[0]))
    best_size = height(problem, best)
    limit = min(rounds, max(8, EFFORT // len(problem.buffers) ** 2))
    for attempt in range(limit):
        if best_size <= bound:
            break
        source, target = _next_move(order, best, best_size, generator, attempt)
        candidate = list(order)
        candidate.insert(target, candidate.pop(source))
        offsets = _greedy(candidate, min(source, target), best, blocked, best_size)
        if offsets is not None:
            order, best, best_size = candidate, offsets, height(problem, offsets)
    return Plan(best, best_size, min(bound, best_size))


def in_order(problem: Problem, key: Callable[[Buffer], float]) -> dict[str, int]:
    """Offsets where every group is at its lowest free address, those with a buffer of the lowest key first; of equals
    the largest."""
    groups = _groups(problem)
    order = sorted(groups, key=lambda g: (min(map(key, g)), -max(b.size for b in g), g[0].first, g[0].name))
    return _greedy(order, 0, {}, _blocked(problem))


def height(problem: Problem, offsets: Mapping[str, int]) -> int:
    """One past the highest address in use."""
    return max((offsets[buffer.name] + buffer.size for buffer in problem.buffers), default=0)


def _first_orders(problem: Problem) -> list[list[Group]]:
    """By size, by time, and backwards in time: in a chain of overlaps every output lies below its input."""
    by_size = sorted(_groups(problem), key=lambda g: (-max(b.size for b in g), g[0].first, g[0].name))
    by_time = sorted(by_size, key=lambda g: min(b.first for b in g))
    return [list(by_size), list(by_time), sorted(by_size, key=lambda g: -min(b.first for b in g))]


def _groups(problem: Problem) -> list[list[Buffer]]:
    groups: dict[str, list[Buffer]] = defaultdict(list)
    for buffer in problem.buffers:
        groups[buffer.base].append(buffer)
    return list(groups.values())


def _blocked(problem: Problem) -> dict[str, list[Blocked]]:
    """For every buffer, what those of other groups that are in use at the same time keep its group from."""
    allowed = {(overlap.upper, overlap.lower): overlap for overlap in problem.overlaps}
    found: dict[str, list[Blocked]] = {b.name: [] for b in problem.buffers}
    ordered = sorted(problem.buffers, key=lambda b: b.first)
    for index, a in enumerate(ordered):
        for b in ordered[index + 1 :]:
            if b.first >= a.last:
                break
            if a.base == b.base:
                continue
            above, below = allowed.get((a.name, b.name)), allowed.get((b.name, a.name))
            found[a.name] += _intervals(a, b, above, below)
            found[b.name] += _intervals(b, a, below, above)
    return found


def _intervals(buffer: Buffer, other: Buffer, as_upper: Overlap | None, as_lower: Overlap | None) -> Iterator[Blocked]:
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
        yield other.name, begin - buffer.displacement, end - buffer.displacement


@overload
def _greedy(
    order: Sequence[Group], first: int, known: Mapping[str, int], blocked: Mapping[str, list[Blocked]]
) -> dict[str, int]: ...
@overload
def _greedy(
    order: Sequence[Group], first: int, known: Mapping[str, int], blocked: Mapping[str, list[Blocked]], most: int
) -> dict[str, int] | None: ...
def _greedy(
    order: Sequence[Group],
    first: int,
    known: Mapping[str, int],
    blocked: Mapping[str, list[Blocked]],
    most: int | None = None,
) -> dict[str, int] | None:
    """Every group at its lowest address beside those before it; None where one would end above `most`.

    Args:
        first: those before this one are where they are `known` to be.
    """
    offsets = {buffer.name: known[buffer.name] for group in order[:first] for buffer in group}
    for group in order[first:]:
        base = max(0, -min(b.displacement for b in group))
        intervals = [
            (offsets[other] + begin, offsets[other] + end)
            for buffer in group
            for other, begin, end in blocked[buffer.name]
            if other in offsets
        ]
        intervals.sort()
        for begin, end in intervals:
            if base <= begin:
                break
            base = max(base, end)
        for buffer in group:
            offset = offsets[buffer.name] = base + buffer.displacement
            if most is not None and offset + buffer.size > most:
                return None
    return offsets


def _next_move(
    order: Sequence[Group], offsets: Mapping[str, int], size: int, generator: random.Random, attempt: int
) -> tuple[int, int]:
    """(from, to) in the order of the next round: of a group at the top of the arena forward, or of any group."""
    if attempt % 2:
        return generator.randrange(len(order)), generator.randrange(len(order))
    top = [i for i, group in enumerate(order) if any(offsets[b.name] + b.size == size for b in group)]
    source = generator.choice(top)
    return source, generator.randrange(max(1, source))
