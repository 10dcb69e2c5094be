"""Which covers to use if each has a cost of its own: dynamic programming over the order of execution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from tinycompile.kernels.cover import Cover

Cost = tuple[int, ...]
"""Compared as a tuple, added element by element."""


def cheapest(covers: Iterable[Cover], cost: Callable[[Cover], Cost], first: int, last: int) -> list[Cover]:
    """The covers of the nodes [first, last) whose costs add up to least, in their order; among equals the earlier ones.

    Raises:
        ValueError: some node is in no cover.
    """
    by_end = _by_end(covers, first, last)
    total, chosen = {first: Cost()}, dict[int, Cover]()
    for end in range(first + 1, last + 1):
        for cover in by_end[end]:
            if cover.first in total:
                own = _sum(total[cover.first], cost(cover))
                if end not in total or own < total[end]:
                    total[end], chosen[end] = own, cover
    found, end = list[Cover](), last
    while end > first:
        if end not in chosen:
            raise ValueError(f"no covers lead to step {end}")
        found.append(chosen[end])
        end = chosen[end].first
    return found[::-1]


def least_peak(covers: Iterable[Cover], height: Callable[[Cover], int], count: int) -> int:
    """The smallest height that `count` nodes can be covered with, if no cover may be higher."""
    by_end = _by_end(covers, 0, count)
    best = {0: 0}
    for end in range(1, count + 1):
        heights = [max(best[cover.first], height(cover)) for cover in by_end[end] if cover.first in best]
        if heights:
            best[end] = min(heights)
    return best[count]


def _by_end(covers: Iterable[Cover], first: int, last: int) -> dict[int, list[Cover]]:
    found: dict[int, list[Cover]] = defaultdict(list)
    for cover in covers:
        if first <= cover.first and cover.last <= last:
            found[cover.last].append(cover)
    return found


def _sum(a: Cost, b: Cost) -> Cost:
    return tuple(x + y for x, y in zip(a, b, strict=True)) if a else b
