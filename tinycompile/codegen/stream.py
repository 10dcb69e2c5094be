"""Stages as C: a loop over ticks in which every layer has its turns, or a loop over patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinycompile.ir import Graph
from tinycompile.planner.stage import Firing, Lines, Source, Span, Stage, copy_bytes
from tinycompile.planner.values import copy_name, put_name

HEADER = "kernels/tc_stream.h"


@dataclass(frozen=True, eq=False)
class Turn:
    """A layer inside the loop.

    Attributes:
        layer: its index. firings: turns that compute. turns: with those that fill the rows below the tensor.
        move: (address of the line buffer, its bytes, bytes that are new); None where nothing is kept.
        fill: (address of the new rows, bytes, value) for the turns that don't compute; None where there are none.
        partial: the same for rows below the tensor in the last turn that computes; None where it has none.
        after: what follows the layer's call: C statements.
    """

    layer: int
    phase: int
    period: int
    firings: int
    turns: int
    move: tuple[int, int, int] | None
    fill: tuple[int, int, int] | None
    partial: tuple[int, int, int] | None
    after: tuple[str, ...]

    @property
    def condition(self) -> str:
        return f"tc_turn(tick, {self.phase}, {self.period}, {self.turns})"


@dataclass(frozen=True, eq=False)
class StageLoop:
    """The loop.

    Attributes:
        mode: "stream" or "patch". first, last: its layers [first, last). rows: of the output at a time.
        ticks: of the loop over rows. tiles: of the loop over columns.
        sums: (address, bytes, value) to be set before everything.
        initial: (address, bytes, value) to be set before the ticks: rows above a tensor.
    """

    mode: str
    first: int
    last: int
    ticks: int
    tiles: int
    rows: int
    turns: tuple[Turn, ...]
    sums: tuple[tuple[int, int, int], ...]
    initial: tuple[tuple[int, int, int], ...]

    @property
    def columns(self) -> bool:
        """Whether the columns are divided."""
        return self.tiles > 1


class StageWriter:
    """Addresses of a stage's layers.

    Args:
        address: of a value in the arena. parts: of the copies of parts of tensors, by `copy_name` and `put_name`.
    """

    def __init__(self, stage: Stage, graph: Graph, address: Callable[[str], int], parts: Mapping[str, int]) -> None:
        self._stage, self._graph, self._address, self._parts = stage, graph, address, parts

    def loop(self) -> StageLoop:
        stage = self._stage
        above = {s.tensor for f in stage.firings for s in f.sources if s.rows.before}
        initial = [
            (self._address(name), lines.bytes, lines.fill & 0xFF)
            for name, lines in stage.lines.items()
            if stage.mode == "stream" and name in above
        ]
        sums = list[tuple[int, int, int]]()
        if stage.firings[-1].sums:
            sums.append((self._address(stage.output), self._graph.types[stage.output].bytes, 0))
        turns = tuple(self._turn(firing) for firing in stage.firings)
        return StageLoop(
            mode=stage.mode,
            first=stage.first,
            last=stage.last,
            ticks=stage.ticks,
            tiles=stage.tiles,
            rows=stage.rows,
            turns=turns,
            sums=tuple(sums),
            initial=tuple(initial),
        )

    def input(self, firing: Firing, operand: int) -> str:
        """C expression for where turn n reads an operand."""
        source = next(s for s in firing.sources if s.operand == operand)
        if source.first is not None:
            return self._from_inside(firing, source)
        if not copy_bytes(firing, source, self._graph):
            return f"arena + {self._address(source.tensor)} + n * {source.rows.step * source.row_bytes}"
        return self._from_whole(firing, source)

    def output(self, firing: Firing) -> str:
        """C expression for where turn n writes."""
        name = self._graph.nodes[firing.step].outputs[0]
        lines = self._stage.lines.get(name)
        if lines is not None:
            return f"arena + {self._new(lines, firing)}"
        if firing.put:
            return f"arena + {self._parts[put_name(firing.step)]}"
        if firing.sums:
            return f"arena + {self._address(name)}"
        t = self._graph.types[name]
        return f"arena + {self._address(name)} + n * {firing.rows.step * t.bytes // t.shape[1]}"

    def _from_inside(self, firing: Firing, source: Source) -> str:
        rows = f"arena + {self._address(source.tensor) + (source.first or 0) * source.row_bytes}"
        columns, held = source.columns, self._stage.lines[source.tensor].columns
        if not source.cropped or columns is None or held is None:
            return rows
        copy = self._parts[copy_name(firing.step, source.operand)]
        return (
            f"tc_crop({rows}, {held.size}, {source.pixel_bytes}, {source.rows.size}, {source.first_column}, "
            f"{columns.size}, arena + {copy})"
        )

    def _from_whole(self, firing: Firing, source: Source) -> str:
        t = self._graph.types[source.tensor]
        image, copy = f"arena + {self._address(source.tensor)}", self._parts[copy_name(firing.step, source.operand)]
        rows = f"{_at('n', source.rows)}, {source.rows.size}"
        if source.columns is None:
            return f"tc_rows({image}, {t.shape[1]}, {source.row_bytes}, {rows}, {source.fill}, arena + {copy})"
        columns = f"{_at('tile', source.columns)}, {source.columns.size}"
        size = f"{t.shape[1]}, {t.shape[2]}, {source.pixel_bytes}"
        return f"tc_gather({image}, {size}, {rows}, {columns}, {source.fill}, arena + {copy})"

    def _new(self, lines: Lines, firing: Firing) -> int:
        return self._address(lines.tensor) + (lines.rows - firing.rows.size) * lines.row_bytes

    def _turn(self, firing: Firing) -> Turn:
        name = self._graph.nodes[firing.step].outputs[0]
        lines, move, fill, partial = self._stage.lines.get(name), None, None, None
        if lines is not None:
            made = firing.rows.size * lines.row_bytes
            if lines.rows > firing.rows.size:
                move = (self._address(name), lines.bytes, made)
            if firing.total > firing.firings:
                fill = (self._new(lines, firing), made, lines.fill & 0xFF)
            if firing.partial:
                inside = firing.partial * lines.row_bytes
                partial = (self._new(lines, firing) + inside, made - inside, lines.fill & 0xFF)
        after = tuple(self._after(firing, lines))
        return Turn(firing.step, firing.phase, firing.period, firing.firings, firing.total, move, fill, partial, after)

    def _after(self, firing: Firing, lines: Lines | None) -> list[str]:
        """Trace what was made; fill what lies outside the tensor; copy the patch to its place."""
        name = self._graph.nodes[firing.step].outputs[0]
        t, shape, statements = self._graph.types[name], firing.site.sig.output.shape, list[str]()
        if lines is None:  # the stage's output is traced whole, after it; here the time counts
            statements.append(f"PART_DONE({firing.step}, arena, 0, 0, 0, 0);")
        if firing.sums:
            return statements
        pixel = t.bytes // (t.shape[1] * t.shape[2])
        x = "0" if firing.columns is None else _at("tile", firing.columns)
        if lines is not None and lines.outside:
            # a stream fills the rows above and below by turns of their own
            y, height = ("0", shape[1]) if self._stage.mode == "stream" else (_at("n", firing.rows), t.shape[1])
            statements.append(
                f"tc_fill_outside(arena + {self._new(lines, firing)}, {shape[1]}, {shape[2]}, {pixel}, {y}, {height}, "
                f"{x}, {t.shape[2]}, {lines.fill});"
            )
        if lines is not None:
            place = f"arena + {self._new(lines, firing)}, {firing.rows.size * lines.row_bytes}"
            statements.insert(0, f"PART_DONE({firing.step}, {place}, {_at('n', firing.rows)}, {x}, {shape[2]});")
        if firing.put:
            y, patch = _at("n", firing.rows), self._parts[put_name(firing.step)]
            statements.append(
                f"tc_put(arena + {self._address(name)}, {t.shape[1]}, {t.shape[2]}, {pixel}, {y}, {shape[1]}, "
                f"{x}, {shape[2]}, arena + {patch});"
            )
        return statements


def _at(turn: str, span: Span) -> str:
    """C expression for the first position of a turn."""
    first = turn if span.step == 1 else f"{turn} * {span.step}"
    return f"{first} - {span.before}" if span.before else first
