"""How large the smallest arena is, proved without a solver: a few steps' buffers need so much, and all fit into it.

What `Values.needs` says of a step is reached by most plans. Where it isn't, steps that follow each other want different
places for what they share, and a few of them prove that: the smallest arena for their buffers alone is found by a
search over who lies below whom. Then every buffer is placed in the order of time below that height, at an end of what
is free, with steps back where one has no room. Both take a hundredth of the solver's time; where they don't meet,
nothing is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tinycompile.planner.greedy import Group, Offsets
from tinycompile.planner.problem import Buffer

STEPS = 5
"""That are looked at together: with fewer, less is proved, with more, it takes longer."""

EFFORT = 2000
"""Sets of decisions who lies below whom, altogether."""

DECISIONS = 200
"""Of a set, at most."""

GROUPS = 400
"""Of buffers that are placed together, at most."""

PLACES = 1000
"""Of groups that are tried for a height."""


def smallest_arena(buffers: Sequence[Buffer], groups: Sequence[Group], bound: int, most: int) -> Offsets | None:
    """Places in the smallest arena; None where it isn't proved which that is.

    Args:
        groups: of all the buffers. bound: bytes that no placement can be below. most: of some placement.
    """
    if len(groups) > GROUPS:
        return None
    sweep = _Sweep(buffers, groups)
    found = sweep.within(bound)
    if found is not None:
        return found
    try:
        least = _least_of(buffers, groups, bound, most, _Effort(EFFORT))
    except _OutOfEffortError:
        return None
    return sweep.within(least) if least > bound else None


class _OutOfEffortError(Exception):
    """It would take too long."""


@dataclass
class _Effort:
    """What is left of it."""

    left: int

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _OutOfEffortError


def _least_of(buffers: Sequence[Buffer], groups: Sequence[Group], bound: int, most: int, effort: _Effort) -> int:
    """Bytes that what is in use in any `STEPS` needs at least, not below `bound` or above `most`."""
    end, seen = max((buffer.last for buffer in buffers), default=0), set[frozenset[int]]()
    for first in range(max(1, end - STEPS + 1)):
        inside = frozenset(n for n, b in enumerate(buffers) if b.first < first + STEPS and b.last > first)
        if inside not in seen and sum(buffers[n].size for n in inside) > bound:
            seen.add(inside)
            some = [group for group in groups if any(number in inside for number, _, _ in group.members)]
            bound = _Relations(some, inside, bound).least(most, effort)
    return bound


_Edge = tuple[int, int, int]
"""(a, b, bytes): b lies at least so much above a."""


class _Relations:
    """Who lies below whom, among some groups.

    Args:
        numbers: of the buffers that count. enough: bytes below which nothing matters.
    """

    def __init__(self, groups: Sequence[Group], numbers: Collection[int], enough: int) -> None:
        self._enough = enough
        self._least = [group.least for group in groups]
        self._size = [max(at + size for n, at, size in group.members if n in numbers) for group in groups]
        place = {number: (i, at) for i, group in enumerate(groups) for number, at, _ in group.members}
        self._blocked = [
            (*place[other], i, begin, end)
            for i, group in enumerate(groups)
            for other, begin, end in group.blocked
            if other in numbers and other in place and place[other][0] < i
        ]
        self._blocked.sort(key=lambda each: each[3] - each[4])

    def least(self, most: int, effort: _Effort) -> int:
        """Bytes that the groups need, between what is `enough` and `most`."""
        if len(self._blocked) > DECISIONS:
            raise _OutOfEffortError
        return max(self._enough, self._least_with(self._least, [], most, effort))

    def _least_with(self, lowest: Sequence[int], edges: list[_Edge], most: int, effort: _Effort) -> int:
        """Args:
        lowest: addresses of the groups, none of which can be lower with these edges.
        """
        effort.spend()
        for a, at, b, begin, end in self._blocked:
            if begin < lowest[b] - lowest[a] - at < end:
                break
        else:
            return min(most, max(map(sum, zip(lowest, self._size, strict=True)), default=0))
        for edge in ((b, a, -begin - at), (a, b, end + at)):
            raised = self._raised(lowest, [*edges, edge], most) if most > self._enough else None
            if raised is not None:
                most = self._least_with(raised, [*edges, edge], most, effort)
        return most

    def _raised(self, lowest: Sequence[int], edges: Sequence[_Edge], most: int) -> list[int] | None:
        """The lowest addresses that the edges allow; None where `most` bytes would be needed."""
        found, changed = list(lowest), True
        while changed:
            changed = False
            for a, b, distance in edges:
                if found[a] + distance > found[b]:
                    found[b], changed = found[a] + distance, True
                    if found[b] + self._size[b] >= most:
                        return None
        return found


class _Sweep:
    """Places groups in the order in which they come into use, at the ends of what is free, and goes back where one has
    no room."""

    def __init__(self, buffers: Sequence[Buffer], groups: Sequence[Group]) -> None:
        self._count = len(buffers)
        self._groups = sorted(groups, key=lambda g: (min(buffers[n].first for n, _, _ in g.members), -_extent(g)))
        self._of = {n: (i, at) for i, group in enumerate(self._groups) for n, at, _ in group.members}
        last = [max((self._of[n][0] for n, _, _ in group.blocked), default=-1) for group in self._groups]
        self._matter = [
            [n for j in range(i) if last[j] >= i for n, _, _ in self._groups[j].members[:1]]
            for i in range(len(self._groups))
        ]
        """For each group, those before it that a later one may have to keep away from."""

    def within(self, top: int) -> Offsets | None:
        """Places below `top`; None where none are found."""
        offsets: Offsets = [None] * self._count
        failed, tried = set[tuple[int | None, ...]](), 0
        open_ = [self._places(0, offsets, top)] if self._groups else []
        while 0 < len(open_) <= len(self._groups):
            group = self._groups[len(open_) - 1]
            at, tried = next(open_[-1], None), tried + 1
            if tried > PLACES:
                return None
            for number, displacement, _ in group.members:
                offsets[number] = None if at is None else at + displacement
            if at is None:
                failed.add(self._state(len(open_) - 1, offsets))
                open_.pop()
            elif len(open_) == len(self._groups):
                return offsets
            elif self._state(len(open_), offsets) not in failed:
                open_.append(self._places(len(open_), offsets, top))
        return None if self._groups else offsets

    def _state(self, i: int, offsets: Offsets) -> tuple[int | None, ...]:
        """All that the places of the groups from this one on depend on."""
        return (i, *(offsets[number] for number in self._matter[i]))

    def _places(self, i: int, offsets: Offsets, top: int) -> Iterator[int]:
        """The ends of what is free for a group, the lowest first, then those that leave later ones the arena's ends."""
        group, highest = self._groups[i], top - _extent(self._groups[i])
        taken = sorted((at + begin, at + end) for n, begin, end in group.blocked if (at := offsets[n]) is not None)
        found, low = list[int](), group.least
        for begin, end in [*taken, (highest, highest)]:
            if low <= begin:
                found += (low, min(begin, highest))
            low = max(low, end)
        for other, begin, end in group.blocked:
            if offsets[other] is None:
                j, displacement = self._of[other]
                later = self._groups[j]
                found += (later.least + displacement + end, top - _extent(later) + displacement + begin)
        return (at for at in dict.fromkeys(found) if group.least <= at <= highest and not _is_inside(at, taken))


def _extent(group: Group) -> int:
    """From its address to its end."""
    return max(displacement + size for _, displacement, size in group.members)


def _is_inside(at: int, spans: Iterable[tuple[int, int]]) -> bool:
    return any(begin < at < end for begin, end in spans)
