"""Stages that are executed row by row, as C: a loop over ticks in which every layer has its turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinycompile.ir import Graph
from tinycompile.planner.stream import Firing, Lines, Source, Stage, band_bytes
from tinycompile.planner.values import edge_name

HEADER = "kernels/tc_stream.h"


@dataclass(frozen=True, eq=False)
class Turn:
    """A layer inside the loop.

    Attributes:
        layer: its index. firings: turns that compute. turns: with those that fill the rows below the tensor.
        move: (address of the line buffer, its bytes, bytes that are new); None where nothing is kept.
        fill: (address of the new rows, bytes, value) for the turns that don't compute; None where there are none.
        partial: the same for rows below the tensor in the last turn that computes; None where it has none.
        rows: (address of what a turn makes, its bytes, those of them in the last turn that are inside the tensor); None
            for the stage's output, which is in memory as a whole.
    """

    layer: int
    phase: int
    period: int
    firings: int
    turns: int
    move: tuple[int, int, int] | None
    fill: tuple[int, int, int] | None
    partial: tuple[int, int, int] | None
    rows: tuple[int, int, int] | None

    @property
    def condition(self) -> str:
        return f"tc_turn(tick, {self.phase}, {self.period}, {self.turns})"


@dataclass(frozen=True, eq=False)
class StageLoop:
    """The loop.

    Attributes:
        first, last: its layers [first, last).
        initial: (address, bytes, value) to be set before it: rows above a tensor, sums.
    """

    first: int
    last: int
    ticks: int
    rows: int
    turns: tuple[Turn, ...]
    initial: tuple[tuple[int, int, int], ...]


class StageWriter:
    """Addresses of a stage's layers.

    Args:
        address: of a value in the arena. edges: of the buffers for rows that reach beyond a tensor, by `edge_name`.
    """

    def __init__(self, stage: Stage, graph: Graph, address: Callable[[str], int], edges: Mapping[str, int]) -> None:
        self._stage, self._graph, self._address, self._edges = stage, graph, address, edges

    def loop(self) -> StageLoop:
        stage = self._stage
        initial = [
            (self._address(name), lines.bytes, lines.fill & 0xFF)
            for name, lines in stage.lines.items()
            if any(s.tensor == name and s.reach.above for f in stage.firings for s in f.sources)
        ]
        if stage.firings[-1].sums:
            initial.append((self._address(stage.output), self._graph.types[stage.output].bytes, 0))
        turns = tuple(self._turn(firing) for firing in stage.firings)
        return StageLoop(stage.first, stage.last, stage.ticks, stage.rows, turns, tuple(initial))

    def input(self, firing: Firing, operand: int) -> str:
        """C expression for where turn n reads an operand."""
        source = next(s for s in firing.sources if s.operand == operand)
        if source.first is not None:
            return f"arena + {self._address(source.tensor) + source.first * source.row_bytes}"
        step = firing.rows * source.reach.stride
        if not band_bytes(firing, source, self._graph):
            return f"arena + {self._address(source.tensor)} + n * {step * source.row_bytes}"
        return self._rows(firing, source, step)

    def output(self, firing: Firing) -> str:
        """C expression for where turn n writes."""
        name = self._graph.nodes[firing.step].outputs[0]
        lines = self._stage.lines.get(name)
        if lines is not None:
            return f"arena + {self._new(lines, firing)}"
        if firing.sums:
            return f"arena + {self._address(name)}"
        t = self._graph.types[name]
        return f"arena + {self._address(name)} + n * {firing.rows * t.bytes // t.shape[1]}"

    def _rows(self, firing: Firing, source: Source, step: int) -> str:
        t = self._graph.types[source.tensor]
        fill = firing.site.node.op.row_fill(firing.site.sig)
        first = ("n" if step == 1 else f"n * {step}") + (f" - {source.reach.above}" if source.reach.above else "")
        copy = self._edges[edge_name(firing.step, source.operand)]
        return (
            f"tc_rows(arena + {self._address(source.tensor)}, {t.shape[1]}, {source.row_bytes}, {first}, "
            f"{source.rows}, {fill}, arena + {copy})"
        )

    def _new(self, lines: Lines, firing: Firing) -> int:
        return self._address(lines.tensor) + (lines.rows - firing.rows) * lines.row_bytes

    def _turn(self, firing: Firing) -> Turn:
        name = self._graph.nodes[firing.step].outputs[0]
        lines, move, fill, partial, rows = self._stage.lines.get(name), None, None, None, None
        if lines is not None:
            made = firing.rows * lines.row_bytes
            rows = (self._new(lines, firing), made, (firing.partial or firing.rows) * lines.row_bytes)
            if lines.rows > firing.rows:
                move = (self._address(name), lines.bytes, made)
            if firing.total > firing.firings:
                fill = (self._new(lines, firing), made, lines.fill & 0xFF)
            if firing.partial:
                inside = firing.partial * lines.row_bytes
                partial = (self._new(lines, firing) + inside, made - inside, lines.fill & 0xFF)
        return Turn(firing.step, firing.phase, firing.period, firing.firings, firing.total, move, fill, partial, rows)
