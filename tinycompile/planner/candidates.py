"""What it would cost to execute a run of nodes together, in one of several ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel
from tinycompile.planner.members import Geometry
from tinycompile.planner.patch import make_patches
from tinycompile.planner.problem import whole_units
from tinycompile.planner.stage import Firing, NotStreamable, Stage, copy_bytes, grid, put_bytes
from tinycompile.planner.stream import make_stage
from tinycompile.planner.values import Values, saving

TURN_INSTRUCTIONS = 60
"""Of a firing, around its kernel: the test whether it is time, addresses, the move of the lines."""

TICK_INSTRUCTIONS = 8
"""Of a turn of the loop over rows, for each node of the stage."""

COPY_INSTRUCTIONS = 40
"""Of a copy of a part of a tensor, besides those for its bytes."""

BandKernels = Callable[[Site], Sequence[Kernel]]
"""Kernels for a node that computes a part of its output."""


def moves(turns: int, bytes_: int) -> int:
    """Instructions to move the rows that a tensor's lines keep, so many bytes, at every turn."""
    return turns * bytes_ // 3


Costs = list[tuple[int, int]]
"""Of each kernel for a node: (bytes in use when it is executed, instructions)."""


@dataclass(frozen=True)
class Way:
    """How to execute some nodes together.

    Attributes:
        patches: on a grid, `rows` x `columns` patches; else `rows` rows at a time in `columns` tiles of columns.
    """

    rows: int
    columns: int = 1
    patches: bool = False

    def stage(self, geometry: Geometry, first: int, last: int) -> Stage:
        """Raises NotStreamable."""
        if self.patches:
            return make_patches(geometry, first, last, (self.rows, self.columns))
        return make_stage(geometry, first, last, self.rows, self.columns)


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
            fastest = fastest_within(costs, limit)
            if fastest is None:
                return None
            total += fastest
        return total

    @property
    def least(self) -> int:
        """Bytes without which there are no kernels."""
        return max(min(bytes_ for bytes_, _ in costs) for costs in self.costs)

    @property
    def instructions(self) -> int:
        """Of the fastest kernels."""
        return self.fixed + sum(min(instructions for _, instructions in costs) for costs in self.costs)


def fastest_within(costs: Costs, limit: int) -> int | None:
    return min((instructions for bytes_, instructions in costs if bytes_ <= limit), default=None)


class Appraiser:
    """Judges stages by the lower bound of what they need and by the instructions of their kernels.

    Kernels of whole rows are looked for; those of patches are judged by the kernels for a row of the same layer, and
    looked for only when a stage has been chosen, since there are so many sizes of patches.
    """

    def __init__(self, geometry: Geometry, values: Values, band_kernels: BandKernels) -> None:
        self._geometry, self._graph, self._values, self._band_kernels = geometry, geometry.graph, values, band_kernels
        self._kernels: dict[tuple[int, tuple[tuple[int, ...], ...]], list[Kernel]] = {}
        self._rows: dict[int, list[Kernel]] = {}
        self.fewest: dict[tuple[int, int], int] = {}
        """By step and rows: instructions of the fastest kernel, called until all rows are there; as far as known."""
        self._producers = {name: step for step, node in enumerate(self._graph.nodes) for name in node.outputs}

    def kernels_of(self, firing: Firing, tiles: int) -> list[Kernel]:
        """With the instructions of all firings."""
        times = firing.firings * tiles
        return [k.repeated(times) for k in self._usable(firing)]

    def candidate(self, stage: Stage) -> Candidate | None:
        """None where a node has no kernel for its part."""
        options = [self._judged(firing, stage) for firing in stage.firings]
        if not all(options):
            return None
        types, lines = self._graph.types, stage.lines
        kept = sum(whole_units(line.bytes) for line in lines.values() if not line.passes)
        output = whole_units(types[stage.output].bytes)
        outside = self._values.beside(stage.first, stage.last, (*stage.whole, *lines, stage.output, *stage.beside))
        kept_apart = self._values.kept
        whole = sum(self._values.buffer_bytes(n) for n in (*stage.whole, *stage.beside) if n not in kept_apart)
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
            copies = sum(whole_units(copy_bytes(firing, source, self._graph)) for source in firing.sources)
            base = always + passing + copies + whole_units(put_bytes(firing))
            passed = self._passed(stage, firing, last_reader)
            costs.append([(base + self._added(stage, firing, k, passed), count) for k, count in kernels])
        return Candidate(stage, costs, self._fixed(stage))

    def _usable(self, firing: Firing) -> list[Kernel]:
        sig = firing.site.sig
        key = firing.step, tuple(t.shape for t in (*sig.inputs, *sig.outputs))
        if key not in self._kernels:
            found = self._band_kernels(firing.site)
            self._kernels[key] = [k for k in found if k.alias_of is None and not k.parts]
        return self._kernels[key]

    def _judged(self, firing: Firing, stage: Stage) -> list[tuple[Kernel, int]]:
        """Kernels with the instructions of all firings; for a patch, as if they computed whole rows."""
        times = firing.firings * stage.tiles
        if stage.tiles == 1 and stage.mode == "stream":
            found = [(kernel, kernel.price * times) for kernel in self._usable(firing)]
            self.fewest[firing.step, firing.rows.size] = min((count for _, count in found), default=0)
            return found
        if firing.step not in self._rows:
            try:
                (row,) = make_stage(self._geometry, firing.step, firing.step + 1, 1).firings
                self._rows[firing.step] = self._usable(row)
            except NotStreamable:
                self._rows[firing.step] = []
        node = firing.site.node
        computed, whole = firing.site.sig.output, self._graph.types[node.outputs[0]]
        if firing.sums:
            computed, whole = firing.site.sig.input, self._graph.types[node.inputs[0]]
        pixels, width = times * prod(grid(computed.shape)), grid(whole.shape)[1]
        return [(kernel, kernel.price * pixels // width) for kernel in self._rows[firing.step]]

    def _fixed(self, stage: Stage) -> int:
        """Instructions around the kernels: turns, moves of lines, copies."""
        fixed = TICK_INSTRUCTIONS * stage.ticks * len(stage.firings)
        for firing in stage.firings:
            fixed += TURN_INSTRUCTIONS * firing.total
            copied = [copy_bytes(firing, source, self._graph) for source in firing.sources] + [put_bytes(firing)]
            lines = stage.lines.get(self._produced(firing))
            if stage.tiles > 1 or stage.mode == "patch":
                fixed += sum(firing.firings * (COPY_INSTRUCTIONS + bytes_ // 3) for bytes_ in copied if bytes_)
                fixed += firing.firings * COPY_INSTRUCTIONS if lines is not None and lines.outside else 0
            if lines is not None:
                fixed += moves(firing.total, lines.bytes - firing.site.sig.output.bytes)
        return fixed * stage.tiles

    def _produced(self, firing: Firing) -> str:
        return self._graph.nodes[firing.step].outputs[0]

    def _passed(self, stage: Stage, firing: Firing, last_reader: dict[str, int]) -> list[tuple[int, int]]:
        """(operand, bytes of its rows) of what passes through and may leave its memory to rows that do so, too."""
        output = stage.lines.get(self._produced(firing))
        if output is None or not output.passes:
            return []
        return [
            (source.operand, whole_units(line.bytes))
            for source in firing.sources
            if (line := stage.lines.get(source.tensor)) is not None
            and line.passes
            and last_reader[source.tensor] == firing.step
            and sum(s.tensor == source.tensor for s in firing.sources) == 1
        ]

    def _added(self, stage: Stage, firing: Firing, kernel: Kernel, passed: list[tuple[int, int]]) -> int:
        """Bytes of scratch, less what sharing memory between rows that pass through saves."""
        scratch = whole_units(kernel.scratch_bytes)
        if not passed:
            return scratch
        distances, lower = kernel.distances, whole_units(stage.lines[self._produced(firing)].bytes)
        shared = sum(
            saving(upper, lower, whole_units(distances[operand])) for operand, upper in passed if operand in distances
        )
        return scratch - min(lower, shared)
