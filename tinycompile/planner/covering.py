"""Which covers to use if each has a cost of its own: dynamic programming over the order of execution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from operator import add
from typing import TypeVar

from tinycompile.kernels.cover import Cover

Cost = tuple[int, ...]
"""Compared as a tuple, added element by element."""

_Figure = TypeVar("_Figure", int, Cost)


def cheapest(covers: Iterable[Cover], cost: Callable[[Cover], Cost], first: int, last: int) -> list[Cover]:
    """The covers of the nodes [first, last) whose costs add up to least, in their order; among equals the earlier ones.

    Raises:
        ValueError: some node is in no cover.
    """
    by_end = _by_end(_least(covers, cost), first, last)
    total, chosen = {first: Cost()}, dict[int, Cover]()
    for end in range(first + 1, last + 1):
        for cover, own in by_end[end]:
            if cover.first in total:
                altogether = _sum(total[cover.first], own)
                if end not in total or altogether < total[end]:
                    total[end], chosen[end] = altogether, cover
    found, end = list[Cover](), last
    while end > first:
        if end not in chosen:
            raise ValueError(f"no covers lead to step {end}")
        found.append(chosen[end])
        end = chosen[end].first
    return found[::-1]


def least_peak(covers: Iterable[Cover], height: Callable[[Cover], int], count: int) -> int:
    """The smallest height that `count` nodes can be covered with, if no cover may be higher."""
    by_end = _by_end(_least(covers, height), 0, count)
    best = {0: 0}
    for end in range(1, count + 1):
        heights = [max(best[cover.first], own) for cover, own in by_end[end] if cover.first in best]
        if heights:
            best[end] = min(heights)
    return best[count]


def _least(covers: Iterable[Cover], figure: Callable[[Cover], _Figure]) -> Iterable[tuple[Cover, _Figure]]:
    """Of the covers of the same nodes the one with the least figure, and that."""
    found = dict[tuple[int, int], tuple[Cover, _Figure]]()
    for cover in covers:
        nodes, own = (cover.first, cover.last), figure(cover)
        if nodes not in found or own < found[nodes][1]:
            found[nodes] = cover, own
    return found.values()


def _by_end(covers: Iterable[tuple[Cover, _Figure]], first: int, last: int) -> dict[int, list[tuple[Cover, _Figure]]]:
    found: dict[int, list[tuple[Cover, _Figure]]] = defaultdict(list)
    for cover, own in covers:
        if first <= cover.first and cover.last <= last:
            found[cover.last].append((cover, own))
    return found


def _sum(a: Cost, b: Cost) -> Cost:
    return tuple(map(add, a, b)) if a else b
