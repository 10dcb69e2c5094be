"""Which nodes are executed together, and how: dynamic programming over the places where a stage may begin and end.

For a limit on RAM, runs of nodes and ways to execute them are judged by the lower bound of what they need and by the
estimated instructions of their kernels; a single node may also be executed whole. The cheapest sequence of stages
within the limit goes to the planner, which places it exactly. Most runs of nodes are never looked at: simple bounds say
that they can't be part of it (`bounds`).

Ways that compute nothing twice come first. Those that do are considered only if nothing else is within the limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter

from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Cover
from tinycompile.planner.bounds import Bounds
from tinycompile.planner.candidates import Appraiser, BandKernels, Candidate, Costs, Way, fastest_within
from tinycompile.planner.members import geometry_of
from tinycompile.planner.problem import whole_units
from tinycompile.planner.stage import NotStreamable, Stage
from tinycompile.planner.values import Options, Values

ROWS = tuple(Way(rows) for rows in (1, 2, 4))
TILES = tuple(Way(1, columns) for columns in (2, 4))
GRIDS = tuple(
    Way(rows, columns, patches=True) for rows, columns in ((2, 1), (4, 1), (8, 1), (16, 1), (2, 2), (4, 4), (8, 8))
)


@dataclass(frozen=True)
class Ways:
    """Ways to execute stages.

    Attributes:
        first: those that compute nothing twice. more: those to add where these, or whole layers, need too much RAM.
        worthwhile: what needs less than this part of the RAM to be undercut isn't worth computing anything twice.
    """

    first: tuple[Way, ...] = ()
    more: tuple[Way, ...] = ()
    worthwhile: float = 0.4


WAYS = {"stream": Ways(ROWS, TILES), "patch": Ways((), GRIDS, 0.15), "auto": Ways(ROWS, (*TILES, *GRIDS))}
"""By schedule."""

EFFORT = 3000
"""Runs of nodes that are judged, about, per way: in larger graphs stages are shorter."""

LONGEST_AT_LEAST = 6

Candidates = dict[int, list[Candidate]]
"""By where the stage ends."""


class StageSearch:
    """Finds the stages of a graph whose order is fixed."""

    def __init__(
        self,
        graph: Graph,
        candidates: Options,
        band_kernels: BandKernels,
        ways: Ways,
        fused: Sequence[Cover] = (),
    ) -> None:
        """`fused`: covers of several nodes, for what is executed outside of stages."""
        self._graph, self._ways, self._values = graph, ways, Values(graph, candidates, fused=fused)
        self._geometry = geometry_of(graph, self._values.kept)
        self._appraiser = Appraiser(self._geometry, self._values, band_kernels)
        self._known: dict[Way, dict[tuple[int, int], Candidate | None]] = {}
        self._final: dict[Way, dict[int, int]] = {}
        """By the first node: where a stage in that way ends, so that neither it nor a longer one is possible."""
        self._whole = [self._whole_costs(step) for step in range(len(graph.nodes))]
        self._fused: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        """By the step after it: (first node, bytes, instructions) of every cover of several nodes."""
        for cover in self._values.fused:
            costs = cover.first, self._values.bytes_of(cover), cover.kernel.price
            self._fused[cover.last].append(costs)

    def best(self, limit: int, more: bool = False) -> list[Stage] | None:
        """The stages of the cheapest execution whose bounds are within `limit` bytes; None if there is none.

        Args:
            more: whether in all ways, or just in those that come first.
        """
        count, added = len(self._graph.nodes), self._more if more else {}
        cost: list[float] = [0.0] + [float("inf")] * count
        chosen: list[Stage | None] = [None] * (count + 1)
        start = list(range(-1, count))
        for end in range(1, count + 1):
            whole = fastest_within(self._whole[end - 1], limit)
            if whole is not None:
                cost[end] = cost[end - 1] + whole
            for first, bytes_, instructions in self._fused[end]:
                if bytes_ <= limit and cost[first] + instructions < cost[end]:
                    cost[end], start[end] = cost[first] + instructions, first
            for candidate in chain(self._promising(cost, end, limit), added.get(end, ())):
                before, own = cost[candidate.stage.first], candidate.within(limit)
                if own is not None and before + own < cost[end]:
                    cost[end], chosen[end] = before + own, candidate.stage
        if cost[count] == float("inf"):
            return None
        stages, end = list[Stage](), count
        while end:
            stage = chosen[end]
            if stage is not None:
                stages.append(stage)
            end = stage.first if stage is not None else start[end]
        return stages[::-1]

    @property
    def has_more(self) -> bool:
        return bool(self._ways.more)

    def smallest(self, more: bool = False) -> int:
        """The lowest limit for which there are stages, to 64 bytes."""
        low, high = 0, sum(buffer.size for buffer in self._values.buffers) + 64
        high += max((whole_units(k.scratch_bytes) for kernels in self._values.options for k in kernels), default=0)
        while high - low > 64:
            middle = (low + high) // 2
            low, high = (low, middle) if self.best(middle, more) is not None else (middle, high)
        return high

    def options(self, stages: Sequence[Stage], candidates: Options) -> list[list[Kernel]] | None:
        """Per node the kernels to choose from with these stages; None if a node has none for its part."""
        found = [list(kernels) for kernels in candidates]
        for stage in stages:
            for firing in stage.firings:
                found[firing.step] = self._appraiser.kernels_of(firing, stage.tiles)
                if not found[firing.step]:
                    return None
        return found

    def _promising(self, cost: Sequence[float], end: int, limit: int) -> Iterator[Candidate]:
        """In the ways that come first, those that end there and that bounds don't rule out.

        Args:
            cost: of what is executed before each node.
        """
        if not self._ways.first:
            return
        found = [
            (first, number, way)
            for number, (way, bounds) in enumerate(self._bounds.items())
            for first in bounds.cheaper(end, range(max(0, end - self._longest), end), cost, cost[end])
        ]
        for first, _, way in sorted(found, key=itemgetter(0, 1)):
            bounds = self._bounds[way]
            if cost[first] + bounds.instructions(first, end) < cost[end] and bounds.bytes(first, end) <= limit:
                candidate = self._candidate(way, first, end)
                if candidate is not None:
                    yield candidate

    @property
    def _longest(self) -> int:
        """Nodes of a run, at most."""
        return max(LONGEST_AT_LEAST, EFFORT // max(1, len(self._graph.nodes)))

    @cached_property
    def _bounds(self) -> dict[Way, Bounds]:
        return {way: Bounds(self._geometry, self._values, way.rows, self._appraiser) for way in self._ways.first}

    @cached_property
    def _more(self) -> Candidates:
        """In the other ways: where whole layers need much, and with less RAM than those that come first."""
        bound = self.smallest()
        large = {s for s, costs in enumerate(self._whole) if not costs or min(costs)[0] > self._ways.worthwhile * bound}
        outside = Bounds(self._geometry, self._values, 1, self._appraiser).bytes_outside
        runs = [run for run in self._runs(large, bound) if outside(*run) < bound]
        added = [c for c in self._candidates(self._ways.more, runs) if c.least < bound]
        rivalled = dict.fromkeys((c.stage.first, c.stage.last) for c in added)
        first = list(self._candidates(self._ways.first, rivalled))
        found: Candidates = defaultdict(list)
        for candidate in _undominated(added, first):
            found[candidate.stage.last].append(candidate)
        return found

    def _whole_costs(self, step: int) -> Costs:
        """Of a node that is executed alone, with whole tensors; what comes from the caller can't be."""
        if self._geometry.is_given(step):
            return []
        return [(self._values.bytes_of(cover), cover.kernel.price) for cover in self._values.trivial_covers[step]]

    def _candidates(self, ways: Iterable[Way], runs: Iterable[tuple[int, int]]) -> Iterator[Candidate]:
        """Of some runs of nodes."""
        for run in runs:
            for way in ways:
                candidate = self._candidate(way, *run)
                if candidate is not None:
                    yield candidate

    def _candidate(self, way: Way, first: int, last: int) -> Candidate | None:
        """None where these nodes can't be executed that way."""
        known = self._known.setdefault(way, {})
        if (first, last) not in known:
            known[first, last] = self._judged(way, first, last)
        return known[first, last]

    def _judged(self, way: Way, first: int, last: int) -> Candidate | None:
        final = self._final.setdefault(way, {})
        if last >= final.get(first, last + 1):
            return None
        try:
            stage = self._geometry.once((way, first, last), lambda: way.stage(self._geometry, first, last))
        except NotStreamable as error:
            if error.final:
                final[first] = last
            return None
        return self._appraiser.candidate(stage)

    def _runs(self, steps: Container[int], bound: float) -> Iterator[tuple[int, int]]:
        """Of nodes.

        Args:
            steps: only runs in which one of them is. bound: only where what is read and left takes less.
        """
        nodes, sizes, longest = self._graph.nodes, self._graph.types, self._longest
        for first in range(len(nodes)):
            inside, wanted = set[str](), False
            for last in range(first + 1, min(len(nodes), first + longest) + 1):
                node = nodes[last - 1]
                read = [name for name in node.inputs if name not in inside and name not in self._graph.constants]
                if any(sizes[name].bytes >= bound for name in read):
                    break
                inside.update(node.outputs)
                wanted = wanted or last - 1 in steps
                if wanted and all(sizes[name].bytes < bound for name in node.outputs):
                    yield first, last


def _undominated(candidates: Sequence[Candidate], others: Sequence[Candidate]) -> Iterator[Candidate]:
    """Those for whose nodes no other one, of `others` or before it, needs no more RAM and no more instructions."""
    runs: dict[tuple[int, int], list[Candidate]] = defaultdict(list)
    for candidate in (*others, *candidates):
        runs[candidate.stage.first, candidate.stage.last].append(candidate)
    known = set(others)
    for found in runs.values():
        fewest = float("inf")
        for candidate in sorted(found, key=lambda c: (c.least, c.instructions)):
            if candidate.instructions < fewest:
                fewest = candidate.instructions
                if candidate not in known:
                    yield candidate
