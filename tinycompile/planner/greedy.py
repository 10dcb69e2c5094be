"""Places buffers in one arena: iterated greedy placement, stopped by a lower bound.

Each round places the groups of buffers one by one, every one at its lowest feasible address; the first rounds take
them by size and by time, later ones move the buffers of the peak forward or shuffle. Deterministic.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tinycompile.planner.problem import UNIT, Buffer, Overlap, Plan, Problem, whole_units

ROUNDS = 120
EFFORT = 2_000_000
"""Limit on rounds x buffers^2, so that large graphs stay fast."""

Group = Sequence[Buffer]
Neighbour = tuple[Buffer, Overlap | None, Overlap | None]
"""(buffer in use at the same time, the overlap in which this one is the upper, that in which it is the lower one)."""


def place(problem: Problem, bound: int, rounds: int = ROUNDS) -> Plan:
    """A placement of small size.

    Args:
        bound: bytes that no placement can be below; the search ends when it is reached.
    """
    if not problem.buffers:
        return Plan()
    neighbours = _neighbours(problem)
    generator = random.Random(0)  # noqa: S311 - a fixed sequence, nothing secret
    starts = [(_greedy(order, neighbours), order) for order in _first_orders(problem)]
    best, order = min(starts, key=lambda start: height(problem, start[0]))
    best_size = height(problem, best)
    limit = min(rounds, max(8, EFFORT // len(problem.buffers) ** 2))
    for attempt in range(limit):
        if best_size <= bound:
            break
        candidate = _next_order(order, best, best_size, generator, attempt)
        offsets = _greedy(candidate, neighbours)
        size = height(problem, offsets)
        if size <= best_size:
            order, best, best_size = candidate, offsets, size
    return Plan(best, best_size, min(bound, best_size))


def height(problem: Problem, offsets: Mapping[str, int]) -> int:
    """One past the highest address in use."""
    return max((offsets[buffer.name] + buffer.size for buffer in problem.buffers), default=0)


def _first_orders(problem: Problem) -> list[list[Group]]:
    """By size, by time, and backwards in time: in a chain of overlaps every output lies below its input."""
    groups: dict[str, list[Buffer]] = defaultdict(list)
    for buffer in problem.buffers:
        groups[buffer.base].append(buffer)
    by_size = sorted(groups.values(), key=lambda g: (-max(b.size for b in g), g[0].first, g[0].name))
    by_time = sorted(by_size, key=lambda g: min(b.first for b in g))
    return [list(by_size), list(by_time), sorted(by_size, key=lambda g: -min(b.first for b in g))]


def _neighbours(problem: Problem) -> dict[str, list[Neighbour]]:
    """For every buffer: those of other groups in use at the same time, with what is allowed to each side."""
    allowed = {(overlap.upper, overlap.lower): overlap for overlap in problem.overlaps}
    found: dict[str, list[Neighbour]] = {b.name: [] for b in problem.buffers}
    ordered = sorted(problem.buffers, key=lambda b: b.first)
    for index, a in enumerate(ordered):
        for b in ordered[index + 1 :]:
            if b.first >= a.last:
                break
            if a.base == b.base:
                continue
            above, below = allowed.get((a.name, b.name)), allowed.get((b.name, a.name))
            found[a.name].append((b, above, below))
            found[b.name].append((a, below, above))
    return found


Placed = Sequence[tuple[Buffer, Buffer, int, Overlap | None, Overlap | None]]
"""(buffer of the group, neighbour, the neighbour's offset, and the overlaps as in `Neighbour`)."""


def _greedy(order: Sequence[Group], neighbours: Mapping[str, list[Neighbour]]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    for group in order:
        placed = [
            (buffer, other, offsets[other.name], up, down)
            for buffer in group
            for other, up, down in neighbours[buffer.name]
            if other.name in offsets
        ]
        lowest = max(0, -min(b.displacement for b in group))
        base = min(b for b in _candidates(lowest, placed) if b >= lowest and _feasible(b, placed))
        offsets |= {buffer.name: base + buffer.displacement for buffer in group}
    return offsets


def _candidates(lowest: int, placed: Placed) -> Iterator[int]:
    """Addresses at which something changes: the bottom, above and below neighbours, at the allowed distances."""
    yield lowest
    for buffer, other, start, as_upper, as_lower in placed:
        yield start + other.size - buffer.displacement
        if as_upper is not None:
            yield whole_units(start + as_upper.distance) - buffer.displacement
        if as_lower is not None:
            yield (start - as_lower.distance) // UNIT * UNIT - buffer.displacement


def _feasible(base: int, placed: Placed) -> bool:
    for buffer, other, offset, as_upper, as_lower in placed:
        start = base + buffer.displacement
        if start >= offset + other.size or offset >= start + buffer.size:
            continue
        if as_upper is not None and as_upper.allows(start, offset):
            continue
        if as_lower is not None and as_lower.allows(offset, start):
            continue
        return False
    return True


def _next_order(
    order: Sequence[Group], offsets: Mapping[str, int], size: int, generator: random.Random, attempt: int
) -> list[Group]:
    """The order for the next round: a group at the top of the arena moves forward, or two change places."""
    changed = list(order)
    top = [i for i, group in enumerate(order) if any(offsets[b.name] + b.size == size for b in group)]
    source = generator.choice(top) if attempt % 2 == 0 else generator.randrange(len(order))
    target = generator.randrange(max(1, source)) if attempt % 2 == 0 else generator.randrange(len(order))
    changed.insert(target, changed.pop(source))
    return changed
