"""Which nodes are executed together row by row: dynamic programming over the places where a stage may begin and end.

For a limit on RAM, every run of nodes and every number of rows at a time is judged by the lower bound of what it needs
and by the estimated instructions of its kernels; a single node may also be executed whole. The cheapest sequence of
stages within the limit goes to the planner, which places it exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinycompile.ir import Graph, Site
from tinycompile.kernels.base import Kernel
from tinycompile.planner.problem import whole_units
from tinycompile.planner.stream import Firing, NotStreamable, Stage, band_bytes, make_stage
from tinycompile.planner.values import Options, Values, saving

ROWS = (1, 2, 4)
"""Rows that every node of a stage computes at a time."""

EFFORT = 3000
"""Runs of nodes that are judged, about, per number of rows: in larger graphs stages are shorter."""

LONGEST_AT_LEAST = 6

FILL_INSTRUCTIONS = 60
"""Of a firing, around its kernel: the test whether it is time, addresses, the move of the lines."""

BandKernels = Callable[[Site], Sequence[Kernel]]
"""Kernels for a node that computes some rows."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A stage as the search sees it.

    Attributes:
        options: per node the kernels for its rows, with the instructions of all firings.
        base: per node the bytes in use when it fires, without what its kernel adds.
        fixed: instructions around the kernels.
    """

    stage: Stage
    options: list[list[Kernel]]
    base: list[int]
    fixed: int

    def within(self, limit: int, savings: Sequence[Sequence[int]]) -> int | None:
        """Instructions of the fastest kernels within `limit` bytes; None if there are none.

        Args:
            savings: per node and kernel, the bytes that sharing memory saves.
        """
        total = self.fixed
        for base, kernels, saved in zip(self.base, self.options, savings, strict=True):
            room = limit - base
            fitting = [
                k.instructions for k, s in zip(kernels, saved, strict=True) if whole_units(k.scratch_bytes) - s <= room
            ]
            if not fitting:
                return None
            total += min(fitting)
        return total


class StageSearch:
    """Finds the stages of a graph whose order is fixed."""

    def __init__(self, graph: Graph, candidates: Options, band_kernels: BandKernels) -> None:
        self._graph, self._band_kernels = graph, band_kernels
        self._values = Values(graph, candidates)
        self._kernels: dict[tuple[int, int], list[Kernel]] = {}
        self._producers = {name: step for step, node in enumerate(graph.nodes) for name in node.outputs}
        self._stages = [s for s in self._all_stages() if s is not None]

    def best(self, limit: int) -> list[Stage] | None:
        """The stages of the cheapest execution whose bounds are within `limit` bytes; None if there is none."""
        count = len(self._graph.nodes)
        cost: list[float] = [0.0] + [float("inf")] * count
        chosen: list[Stage | None] = [None] * (count + 1)
        by_end = defaultdict[int, list[tuple[Candidate, list[list[int]]]]](list)
        for candidate, savings in self._stages:
            by_end[candidate.stage.last].append((candidate, savings))
        for end in range(1, count + 1):
            whole = [k.instructions for k in self._values.options[end - 1] if self._values.need(end - 1, k) <= limit]
            if whole and not self._graph.nodes[end - 1].op.comes_from_caller:
                cost[end] = cost[end - 1] + min(whole)
            for candidate, savings in by_end[end]:
                before = cost[candidate.stage.first]
                if before == float("inf"):
                    continue
                own = candidate.within(limit, savings)
                if own is not None and before + own < cost[end]:
                    cost[end], chosen[end] = before + own, candidate.stage
        if cost[count] == float("inf"):
            return None
        stages, end = list[Stage](), count
        while end:
            stage = chosen[end]
            if stage is not None:
                stages.append(stage)
            end = stage.first if stage is not None else end - 1
        return stages[::-1]

    def smallest(self) -> int:
        """The lowest limit for which there are stages, to 64 bytes."""
        low, high = 0, sum(buffer.size for buffer in self._values.buffers) + 64
        high += max((whole_units(k.scratch_bytes) for kernels in self._values.options for k in kernels), default=0)
        while high - low > 64:
            middle = (low + high) // 2
            low, high = (low, middle) if self.best(middle) is not None else (middle, high)
        return high

    def options(self, stages: Sequence[Stage], candidates: Options) -> list[list[Kernel]]:
        """Per node the kernels to choose from, if these stages are executed row by row."""
        found = [list(kernels) for kernels in candidates]
        for stage in stages:
            for firing in stage.firings:
                found[firing.step] = self._kernels_of(firing)
        return found

    def _all_stages(self) -> list[tuple[Candidate, list[list[int]]] | None]:
        found = list[tuple[Candidate, list[list[int]]] | None]()
        longest = max(LONGEST_AT_LEAST, EFFORT // max(1, len(self._graph.nodes)))
        for rows in ROWS:
            for first in range(len(self._graph.nodes)):
                for last in range(first + 1, min(len(self._graph.nodes), first + longest) + 1):
                    try:
                        stage = make_stage(self._graph, first, last, rows)
                    except NotStreamable as error:
                        if error.final:
                            break
                        continue
                    found.append(self._candidate(stage))
        return found

    def _kernels_of(self, firing: Firing) -> list[Kernel]:
        key = firing.step, firing.rows
        if key not in self._kernels:
            usable = [k for k in self._band_kernels(firing.site) if k.alias_of is None and not k.parts]
            self._kernels[key] = [replace(k, instructions=k.instructions * firing.firings) for k in usable]
        return self._kernels[key]

    def _candidate(self, stage: Stage) -> tuple[Candidate, list[list[int]]] | None:
        options = [self._kernels_of(firing) for firing in stage.firings]
        if not all(options):
            return None
        types, lines = self._graph.types, stage.lines
        kept = sum(whole_units(line.bytes) for line in lines.values() if not line.passes)
        output = whole_units(types[stage.output].bytes)
        outside = self._values.beside(stage.first, stage.last, (*stage.whole, *lines, stage.output))
        whole = sum(self._values.buffer_bytes(name) for name in stage.whole)
        shared = sum(
            min(output, saving(whole_units(types[name].bytes), output, whole_units(distance)))
            for name, distance in stage.distances.items()
            if self._values.dies_before(name, stage.last)
        )
        always = outside + kept + output + whole - min(output, shared)
        last_reader = {s.tensor: firing.step for firing in stage.firings for s in firing.sources if s.tensor in lines}
        base, savings = list[int](), list[list[int]]()
        for firing, kernels in zip(stage.firings, options, strict=True):
            produced = self._graph.nodes[firing.step].outputs[0]
            passing = sum(
                whole_units(line.bytes)
                for name, line in lines.items()
                if line.passes and self._producers[name] <= firing.step <= last_reader[name]
            )
            edges = sum(whole_units(band_bytes(firing, source, self._graph)) for source in firing.sources)
            base.append(always + passing + edges)
            savings.append([self._saved(stage, firing, kernel, produced, last_reader) for kernel in kernels])
        fixed = sum(FILL_INSTRUCTIONS * firing.total for firing in stage.firings) + 8 * stage.ticks * len(stage.firings)
        fixed += sum(f.total * (lines[n].bytes - f.rows * lines[n].row_bytes) // 3 for f, n in self._moved(stage))
        return Candidate(stage, options, base, fixed), savings

    def _moved(self, stage: Stage) -> list[tuple[Firing, str]]:
        """Firings that move the lines of their output."""
        outputs = [(firing, self._graph.nodes[firing.step].outputs[0]) for firing in stage.firings]
        return [(firing, name) for firing, name in outputs if name in stage.lines]

    def _saved(self, stage: Stage, firing: Firing, kernel: Kernel, produced: str, last_reader: dict[str, int]) -> int:
        """What sharing memory between rows that pass through saves."""
        if produced not in stage.lines or not stage.lines[produced].passes:
            return 0
        distances = {0: 0} if kernel.in_place else kernel.overlap
        lower, total = whole_units(stage.lines[produced].bytes), 0
        for source in firing.sources:
            line = stage.lines.get(source.tensor)
            if line is None or not line.passes or last_reader[source.tensor] != firing.step:
                continue
            if source.operand in distances and sum(s.tensor == source.tensor for s in firing.sources) == 1:
                total += saving(whole_units(line.bytes), lower, whole_units(distances[source.operand]))
        return min(lower, total)
