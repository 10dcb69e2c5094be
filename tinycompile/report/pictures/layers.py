"""A layered drawing of a directed acyclic graph, after Sugiyama, Tagawa and Toda (1981).

Nodes lie in ranks, each below all that it reads. An edge over several ranks bends at a point in each; ranks are ordered
by the mean position of their neighbours, and places follow their neighbours as far as the order leaves room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 6
MAX_BENDS = 20_000
"""With more, long edges are drawn straight."""


@dataclass(frozen=True)
class Sizes:
    """In units of the drawing: nodes, the room for an edge that passes, and the gaps between places and ranks."""

    width: float = 220
    height: float = 34
    passing: float = 14
    gap: float = 16
    rank_gap: float = 20


@dataclass(frozen=True)
class Drawing:
    """Centres of nodes, and for every edge the points it goes through from the bottom of one to the top of another."""

    centres: list[tuple[float, float]]
    paths: list[list[tuple[float, float]]]
    width: float
    height: float


def layered(nodes: int, edges: Sequence[tuple[int, int]], sizes: Sizes | None = None) -> Drawing:
    """Draw a graph whose edges all lead from lower to higher node numbers.

    Args:
        nodes: how many. edges: pairs (from, to) with from < to.
    """
    sizes = sizes or Sizes()
    rank = _ranks(nodes, edges)
    chains, place_rank = _bends(edges, rank)
    neighbours = _neighbours(chains, len(place_rank))
    ranks = _ordered(place_rank, neighbours)
    width = [sizes.width] * nodes + [sizes.passing] * (len(place_rank) - nodes)
    x = _positions(ranks, neighbours, width, sizes.gap)
    step = sizes.height + sizes.rank_gap
    y = [r * step + sizes.height / 2 for r in place_rank]
    paths = [_path(chain, x, y, sizes.height) for chain in chains]
    right = max((x[p] + width[p] / 2 for p in range(len(x))), default=0)
    return Drawing(list(zip(x[:nodes], y[:nodes], strict=True)), paths, right, max(y, default=0) + sizes.height / 2)


def _ranks(nodes: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way from a node without operands; those move down to just above their first reader."""
    rank = [0] * nodes
    below: defaultdict[int, list[int]] = defaultdict(list)
    above = set[int]()
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        rank[target] = max(rank[target], rank[source] + 1)
        below[source].append(target)
        above.add(target)
    for node in range(nodes):
        if node not in above and below[node]:
            rank[node] = min(rank[target] for target in below[node]) - 1
    return rank


def _bends(edges: Sequence[tuple[int, int]], rank: list[int]) -> tuple[list[list[int]], list[int]]:
    """Per edge the places it goes through, and the rank of every place: nodes first, then bends."""
    total = sum(rank[target] - rank[source] - 1 for source, target in edges)
    place_rank, chains = list(rank), list[list[int]]()
    for source, target in edges:
        chain = [source]
        for between in range(rank[source] + 1, rank[target]) if total <= MAX_BENDS else ():
            chain.append(len(place_rank))
            place_rank.append(between)
        chains.append([*chain, target])
    return chains, place_rank


def _neighbours(chains: Sequence[Sequence[int]], places: int) -> tuple[list[list[int]], list[list[int]]]:
    """Per place those above and those below it."""
    above, below = [list[int]() for _ in range(places)], [list[int]() for _ in range(places)]
    for chain in chains:
        for upper, lower in pairwise(chain):
            below[upper].append(lower)
            above[lower].append(upper)
    return above, below


def _ordered(place_rank: list[int], neighbours: tuple[list[list[int]], list[list[int]]]) -> list[list[int]]:
    """The places of each rank from left to right."""
    ranks = [list[int]() for _ in range(max(place_rank, default=-1) + 1)]
    for place, r in enumerate(place_rank):
        ranks[r].append(place)
    position = {place: i for places in ranks for i, place in enumerate(places)}
    for sweep in range(SWEEPS):
        near = neighbours[sweep % 2]
        for places in ranks if sweep % 2 == 0 else reversed(ranks):
            wanted = {p: sum(position[n] for n in near[p]) / len(near[p]) if near[p] else position[p] for p in places}
            places.sort(key=wanted.__getitem__)
            position.update({place: i for i, place in enumerate(places)})
    return ranks


def _positions(
    ranks: list[list[int]], neighbours: tuple[list[list[int]], list[list[int]]], width: list[float], gap: float
) -> list[float]:
    """The centre of every place, from 0 on; no two of a rank overlap."""
    x = [0.0] * len(width)
    for places in ranks:
        _pack(places, dict.fromkeys(places, 0.0), x, width, gap)
    for sweep in range(SWEEPS):
        near = neighbours[sweep % 2]
        for places in ranks if sweep % 2 == 0 else reversed(ranks):
            wanted = {p: sum(x[n] for n in near[p]) / len(near[p]) if near[p] else x[p] for p in places}
            _pack(places, wanted, x, width, gap)
    left = min((x[p] - width[p] / 2 for p in range(len(x))), default=0)
    return [value - left for value in x]


def _pack(places: list[int], wanted: dict[int, float], x: list[float], width: list[float], gap: float) -> None:
    """Places as near as possible to where they want to be: the mean of pushing to the right and to the left."""
    right, left = dict[int, float](), dict[int, float]()
    edge = float("-inf")
    for place in places:
        right[place] = max(wanted[place], edge + width[place] / 2)
        edge = right[place] + width[place] / 2 + gap
    edge = float("inf")
    for place in reversed(places):
        left[place] = min(wanted[place], edge - width[place] / 2)
        edge = left[place] - width[place] / 2 - gap
    for place in places:
        x[place] = (right[place] + left[place]) / 2


def _path(chain: list[int], x: list[float], y: list[float], height: float) -> list[tuple[float, float]]:
    first, last = chain[0], chain[-1]
    inner = [(x[p], y[p]) for p in chain[1:-1]]
    return [(x[first], y[first] + height / 2), *inner, (x[last], y[last] - height / 2)]
