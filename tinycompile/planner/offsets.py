"""Places buffers in one arena: iterated greedy placement, stopped by a lower bound.

Each round places the buffers one by one, every one at its lowest feasible address; the first rounds take them by size
and by time, later ones move the buffers of the peak forward or shuffle. Deterministic.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tinycompile.planner.problem import Buffer, Overlap, Plan, Problem

ROUNDS = 400
EFFORT = 2_000_000
"""Limit on rounds x buffers^2, so that large graphs stay fast."""


def place(problem: Problem, rounds: int = ROUNDS) -> Plan:
    """A placement of small size, equal to the lower bound on most networks."""
    bound = lower_bound(problem)
    if not problem.buffers:
        return Plan()
    neighbours = _Neighbours(problem)
    generator = random.Random(0)  # noqa: S311 - a fixed sequence, nothing secret
    starts = [(_greedy(order, neighbours), order) for order in _first_orders(problem.buffers)]
    best, order = min(starts, key=lambda start: _height(problem.buffers, start[0]))
    best_size = _height(problem.buffers, best)
    limit = min(rounds, max(8, EFFORT // len(order) ** 2))
    for attempt in range(limit):
        if best_size == bound:
            break
        candidate = _next_order(order, best, best_size, generator, attempt)
        offsets = _greedy(candidate, neighbours)
        size = _height(problem.buffers, offsets)
        if size <= best_size:
            order, best, best_size = candidate, offsets, size
    return Plan(best, best_size, bound)


def lower_bound(problem: Problem) -> int:
    """At every step: the bytes in use, less what the pairs that may overlap can save at most."""
    savings = _savings(problem)
    by_name = {buffer.name: buffer for buffer in problem.buffers}
    steps = {buffer.first for buffer in problem.buffers}
    return max((_live_bytes(problem.buffers, step) - _saved(savings[step], by_name) for step in steps), default=0)


def bound_at(problem: Problem, step: int) -> int:
    """The same at one step."""
    by_name = {buffer.name: buffer for buffer in problem.buffers}
    return _live_bytes(problem.buffers, step) - _saved(_savings(problem)[step], by_name)


def _savings(problem: Problem) -> dict[int, dict[str, int]]:
    """Per step and output: the most bytes that it can share with the operands that die there."""
    by_name = {buffer.name: buffer for buffer in problem.buffers}
    savings: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for overlap in problem.overlaps:
        upper, lower = by_name[overlap.upper], by_name[overlap.lower]
        joint = max(upper.size, lower.size, overlap.distance + upper.size)
        savings[lower.first][lower.name] += max(0, upper.size + lower.size - joint)
    return savings


def _live_bytes(buffers: Sequence[Buffer], step: int) -> int:
    return sum(buffer.size for buffer in buffers if buffer.first <= step < buffer.last)


def _saved(savings: dict[str, int], by_name: dict[str, Buffer]) -> int:
    return sum(min(saving, by_name[name].size) for name, saving in savings.items())


def _first_orders(buffers: Sequence[Buffer]) -> list[list[Buffer]]:
    """By size, by time, and backwards in time: in a chain of overlaps every output lies below its input."""
    by_size = sorted(buffers, key=lambda b: (-b.size, b.first, b.name))
    by_time = sorted(by_size, key=lambda b: b.first)
    return [by_size, by_time, sorted(by_size, key=lambda b: -b.first)]


def _height(buffers: Sequence[Buffer], offsets: dict[str, int]) -> int:
    return max(offsets[buffer.name] + buffer.size for buffer in buffers)


Neighbour = tuple[Buffer, Overlap | None, Overlap | None]
"""(buffer in use at the same time, the overlap in which this one is the upper, that in which it is the lower one)."""


class _Neighbours:
    """For every buffer: those in use at the same time, with the distance allowed to each side, if any."""

    def __init__(self, problem: Problem) -> None:
        allowed = {(overlap.upper, overlap.lower): overlap for overlap in problem.overlaps}
        self.of: dict[str, list[Neighbour]] = {b.name: [] for b in problem.buffers}
        ordered = sorted(problem.buffers, key=lambda b: b.first)
        for index, a in enumerate(ordered):
            for b in ordered[index + 1 :]:
                if b.first >= a.last:
                    break
                above, below = allowed.get((a.name, b.name)), allowed.get((b.name, a.name))
                self.of[a.name].append((b, above, below))
                self.of[b.name].append((a, below, above))


def _greedy(order: Sequence[Buffer], neighbours: _Neighbours) -> dict[str, int]:
    offsets: dict[str, int] = {}
    for buffer in order:
        placed = [(n, offsets[n.name], up, down) for n, up, down in neighbours.of[buffer.name] if n.name in offsets]
        offsets[buffer.name] = min(
            start for start in _candidates(buffer, placed) if start >= 0 and _feasible(buffer, start, placed)
        )
    return offsets


Placed = Sequence[tuple[Buffer, int, Overlap | None, Overlap | None]]
"""(neighbour, its offset, the overlap in which this buffer is the upper one, that in which it is the lower one)."""


def _candidates(buffer: Buffer, placed: Placed) -> Iterator[int]:
    """Addresses at which something changes: the bottom, above and below neighbours, at the allowed distances."""
    align = buffer.align
    yield 0
    for other, start, as_upper, as_lower in placed:
        yield -(-(start + other.size) // align) * align
        if as_upper is not None:
            yield -(-(start + as_upper.distance) // align) * align
        if as_lower is not None:
            yield (start - as_lower.distance) // align * align


def _feasible(buffer: Buffer, start: int, placed: Placed) -> bool:
    for other, offset, as_upper, as_lower in placed:
        if start >= offset + other.size or offset >= start + buffer.size:
            continue
        if as_upper is not None and as_upper.allows(start, offset):
            continue
        if as_lower is not None and as_lower.allows(offset, start):
            continue
        return False
    return True


def _next_order(
    order: Sequence[Buffer], offsets: dict[str, int], height: int, generator: random.Random, attempt: int
) -> list[Buffer]:
    """The order for the next round: a buffer at the top of the arena moves forward, or two change places."""
    changed = list(order)
    top = [i for i, buffer in enumerate(order) if offsets[buffer.name] + buffer.size == height]
    source = generator.choice(top) if attempt % 2 == 0 else generator.randrange(len(order))
    target = generator.randrange(max(1, source)) if attempt % 2 == 0 else generator.randrange(len(order))
    changed.insert(target, changed.pop(source))
    return changed
