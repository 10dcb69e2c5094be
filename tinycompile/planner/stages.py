"""Which nodes are executed together row by row: dynamic programming over the places where a stage may begin and end.

For a limit on RAM, every run of nodes and every number of rows at a time is judged by the lower bound of what it needs
and by the estimated instructions of its kernels; a single node may also be executed whole. The cheapest sequence of
stages within the limit goes to the planner, which places it exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
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


Costs = list[tuple[int, int]]
"""Of each kernel for a node: (bytes in use when it is executed, instructions)."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A stage as the search sees it.

    Attributes:
        costs: per node, with the instructions of all firings.
        fixed: instructions around the kernels.
    """

    stage: Stage
    costs: list[Costs]
    fixed: int

    def within(self, limit: int) -> int | None:
        """Instructions of the fastest kernels within `limit` bytes; None if there are none."""
        total = self.fixed
        for costs in self.costs:
            fastest = _fastest(costs, limit)
            if fastest is None:
                return None
            total += fastest
        return total


def _fastest(costs: Costs, limit: int) -> int | None:
    return min((instructions for bytes_, instructions in costs if bytes_ <= limit), default=None)


class StageSearch:
    """Finds the stages of a graph whose order is fixed."""

    def __init__(self, graph: Graph, candidates: Options, band_kernels: BandKernels) -> None:
        self._graph, self._band_kernels = graph, band_kernels
        self._values = Values(graph, candidates)
        self._kernels: dict[tuple[int, int], list[Kernel]] = {}
        self._producers = {name: step for step, node in enumerate(graph.nodes) for name in node.outputs}
        self._whole = [self._whole_costs(step) for step in range(len(graph.nodes))]
        self._by_end = defaultdict[int, list[Candidate]](list)
        for stage in self._all_stages():
            candidate = self._candidate(stage)
            if candidate is not None:
                self._by_end[stage.last].append(candidate)

    def best(self, limit: int) -> list[Stage] | None:
        """The stages of the cheapest execution whose bounds are within `limit` bytes; None if there is none."""
        count = len(self._graph.nodes)
        cost: list[float] = [0.0] + [float("inf")] * count
        chosen: list[Stage | None] = [None] * (count + 1)
        for end in range(1, count + 1):
            whole = _fastest(self._whole[end - 1], limit)
            if whole is not None:
                cost[end] = cost[end - 1] + whole
            for candidate in self._by_end[end]:
                before = cost[candidate.stage.first]
                if before == float("inf"):
                    continue
                own = candidate.within(limit)
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

    def _whole_costs(self, step: int) -> Costs:
        """Of a node that is executed alone, with whole tensors; what comes from the caller can't be."""
        if self._graph.nodes[step].op.comes_from_caller:
            return []
        return [(self._values.need(step, k), k.instructions) for k in self._values.options[step]]

    def _all_stages(self) -> Iterator[Stage]:
        count = len(self._graph.nodes)
        longest = max(LONGEST_AT_LEAST, EFFORT // max(1, count))
        for rows in ROWS:
            for first in range(count):
                for last in range(first + 1, min(count, first + longest) + 1):
                    try:
                        yield make_stage(self._graph, first, last, rows)
                    except NotStreamable as error:
                        if error.final:
                            break

    def _kernels_of(self, firing: Firing) -> list[Kernel]:
        key = firing.step, firing.rows
        if key not in self._kernels:
            usable = [k for k in self._band_kernels(firing.site) if k.alias_of is None and not k.parts]
            self._kernels[key] = [replace(k, instructions=k.instructions * firing.firings) for k in usable]
        return self._kernels[key]

    def _candidate(self, stage: Stage) -> Candidate | None:
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
        costs = list[Costs]()
        for firing, kernels in zip(stage.firings, options, strict=True):
            passing = sum(
                whole_units(line.bytes)
                for name, line in lines.items()
                if line.passes and self._producers[name] <= firing.step <= last_reader[name]
            )
            edges = sum(whole_units(band_bytes(firing, source, self._graph)) for source in firing.sources)
            base = always + passing + edges
            costs.append([(base + self._added(stage, firing, k, last_reader), k.instructions) for k in kernels])
        return Candidate(stage, costs, self._fixed(stage))

    def _fixed(self, stage: Stage) -> int:
        """Instructions around the kernels: turns, and the moves of the lines."""
        fixed = 8 * stage.ticks * len(stage.firings)
        for firing in stage.firings:
            fixed += FILL_INSTRUCTIONS * firing.total
            lines = stage.lines.get(self._produced(firing))
            if lines is not None:
                fixed += firing.total * (lines.bytes - firing.rows * lines.row_bytes) // 3
        return fixed

    def _produced(self, firing: Firing) -> str:
        return self._graph.nodes[firing.step].outputs[0]

    def _added(self, stage: Stage, firing: Firing, kernel: Kernel, last_reader: dict[str, int]) -> int:
        """Bytes of scratch, less what sharing memory between rows that pass through saves."""
        scratch, output = whole_units(kernel.scratch_bytes), stage.lines.get(self._produced(firing))
        if output is None or not output.passes:
            return scratch
        distances, lower, shared = kernel.distances, whole_units(output.bytes), 0
        for source in firing.sources:
            line = stage.lines.get(source.tensor)
            if line is None or not line.passes or last_reader[source.tensor] != firing.step:
                continue
            if source.operand in distances and sum(s.tensor == source.tensor for s in firing.sources) == 1:
                shared += saving(whole_units(line.bytes), lower, whole_units(distances[source.operand]))
        return scratch - min(lower, shared)
