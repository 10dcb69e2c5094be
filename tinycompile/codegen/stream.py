"""Stages as data: a loop over ticks in which every layer has its turns, or a loop over patches.

`templates/c/model/stages.c.j2` prints them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.codegen.arguments import Argument, Crop, Patch, Place, Position, Rows
from tinycompile.ir import Graph
from tinycompile.planner.stage import Firing, Lines, Source, Stage, copy_bytes, grid
from tinycompile.planner.values import copy_name, put_name

HEADER = "kernels/tc_stream.h"


@dataclass(frozen=True)
class Fill:
    """Bytes from a place on are set to a value."""

    place: Place
    value: int
    bytes: int


@dataclass(frozen=True)
class Move:
    """The newest rows of a line buffer of `bytes` move to its front, so that there is room for `made` bytes."""

    value: str
    bytes: int
    made: int


@dataclass(frozen=True)
class PartDone:
    """Reports the rows and columns that a turn made."""

    kind: ClassVar[str] = "done"
    layer: int
    place: Place
    bytes: int
    y: Position
    x: Position
    columns: int


@dataclass(frozen=True)
class TurnDone:
    """Reports a turn of a layer whose output is reported whole, after the stage."""

    kind: ClassVar[str] = "turn"
    layer: int


@dataclass(frozen=True)
class FillOutside:
    """What of a patch of `rows` x `columns`, whose first position is (y, x), lies outside the tensor gets a value.

    Attributes:
        height, width: of the tensor.
    """

    kind: ClassVar[str] = "fill"
    place: Place
    rows: int
    columns: int
    pixel_bytes: int
    y: Position
    height: int
    x: Position
    width: int
    value: int


@dataclass(frozen=True)
class Put:
    """Copies a patch of `rows` x `columns` to (y, x) of a value of `height` x `width`.

    Attributes:
        patch: the key of the patch.
    """

    kind: ClassVar[str] = "put"
    value: str
    height: int
    width: int
    pixel_bytes: int
    y: Position
    rows: int
    x: Position
    columns: int
    patch: str


Statement = PartDone | TurnDone | FillOutside | Put
"""After a layer's call."""


@dataclass(frozen=True, eq=False)
class Turn:
    """A layer inside the loop. Its turns are at the ticks `phase + period * n`.

    Attributes:
        layer: its index. firings: turns that compute. turns: with those that fill the rows below the tensor.
        move: of the line buffer, before the turn; None where nothing is kept.
        fill: the new rows, for the turns that don't compute; None where there are none.
        partial: rows below the tensor in the last turn that computes; None where it has none.
        output: the key of its result. values: keys of all that it reads and writes.
        after: what follows the layer's call.
    """

    layer: int
    phase: int
    period: int
    firings: int
    turns: int
    move: Move | None
    fill: Fill | None
    partial: Fill | None
    output: str
    values: tuple[str, ...]
    after: tuple[Statement, ...]


@dataclass(frozen=True, eq=False)
class StageLoop:
    """The loop.

    Attributes:
        mode: "stream" or "patch". first, last: its layers [first, last). rows: of the output at a time.
        ticks: of the loop over rows. tiles: of the loop over columns.
        sums: to be set before everything.
        initial: rows above a tensor, to be set before the ticks.
        beside: (layer, key) of other results than the last layer's that are whole in memory.
    """

    mode: str
    first: int
    last: int
    ticks: int
    tiles: int
    rows: int
    turns: tuple[Turn, ...]
    sums: tuple[Fill, ...]
    initial: tuple[Fill, ...]
    beside: tuple[tuple[int, str], ...] = ()

    @property
    def columns(self) -> bool:
        """Whether the columns are divided."""
        return self.tiles > 1


class StageWriter:
    """What a stage's layers are given and do.

    Args:
        parts: offsets of the copies of parts of tensors, by `copy_name` and `put_name`.
    """

    def __init__(self, stage: Stage, graph: Graph, parts: Mapping[str, int]) -> None:
        self._stage, self._graph, self._parts = stage, graph, parts

    def loop(self) -> StageLoop:
        stage = self._stage
        above = {s.tensor for f in stage.firings for s in f.sources if s.rows.before}
        initial = [
            Fill(Place(name), lines.fill & 0xFF, lines.bytes)
            for name, lines in stage.lines.items()
            if stage.mode == "stream" and name in above
        ]
        sums = list[Fill]()
        if stage.firings[-1].sums:
            sums.append(Fill(Place(stage.output), 0, self._graph.types[stage.output].bytes))
        return StageLoop(
            mode=stage.mode,
            first=stage.first,
            last=stage.last,
            ticks=stage.ticks,
            tiles=stage.tiles,
            rows=stage.rows,
            turns=tuple(self._turn(firing) for firing in stage.firings),
            sums=tuple(sums),
            initial=tuple(initial),
            beside=tuple((f.step, name) for f in stage.firings if (name := self._output(f)) in stage.beside),
        )

    def copies(self) -> Iterator[tuple[str, str, str]]:
        """(key, tensor, what it is called) of the memory for copies of parts of tensors."""
        for firing in self._stage.firings:
            for source in firing.sources:
                key = copy_name(firing.step, source.operand)
                if key in self._parts:
                    yield key, source.tensor, "rows" if source.columns is None else "patch"
            if firing.put:
                yield put_name(firing.step), self._output(firing), "patch"

    def input(self, firing: Firing, operand: int) -> Argument:
        """Where turn n reads an operand."""
        name = self._graph.nodes[firing.step].inputs[operand]
        if name in firing.entire:
            return Place(name)
        source = next(s for s in firing.sources if s.operand == operand)
        size = self._item_bytes(source.tensor)
        if source.first is not None:
            return self._from_inside(firing, source)
        if not copy_bytes(firing, source, self._graph):
            return Place(source.tensor, step=source.rows.step * source.row_bytes // size)
        return self._from_whole(firing, source)

    def output(self, firing: Firing) -> Place:
        """Where turn n writes."""
        name = self._output(firing)
        lines = self._stage.lines.get(name)
        if lines is not None:
            return self._new(lines, firing)
        if firing.put:
            return Place(put_name(firing.step))
        if firing.sums:
            return Place(name)
        t = self._graph.types[name]
        return Place(name, step=firing.rows.step * t.bytes // grid(t.shape)[0] // self._item_bytes(name))

    def _values(self, firing: Firing) -> Iterator[str]:
        for source in firing.sources:
            yield source.tensor
            if (copy := copy_name(firing.step, source.operand)) in self._parts:
                yield copy
        yield from firing.entire
        if firing.put:
            yield put_name(firing.step)
        yield self._output(firing)

    def _output(self, firing: Firing) -> str:
        return self._graph.nodes[firing.step].outputs[0]

    def _item_bytes(self, name: str) -> int:
        """Of what a pointer to the value points to."""
        return max(self._graph.types[name].dtype.bits // 8, 1)

    def _from_inside(self, firing: Firing, source: Source) -> Argument:
        offset = (source.first or 0) * source.row_bytes // self._item_bytes(source.tensor)
        columns, held = source.columns, self._stage.lines[source.tensor].columns
        if not source.cropped or columns is None or held is None:
            return Place(source.tensor, offset)
        return Crop(
            value=source.tensor,
            offset=offset,
            width=held.size,
            pixel_bytes=source.pixel_bytes,
            rows=source.rows.size,
            x=source.first_column,
            columns=columns.size,
            copy=copy_name(firing.step, source.operand),
        )

    def _from_whole(self, firing: Firing, source: Source) -> Argument:
        t = self._graph.types[source.tensor]
        (height, width), copy, y = grid(t.shape), copy_name(firing.step, source.operand), Position.of("n", source.rows)
        if source.columns is None:
            return Rows(source.tensor, copy, height, source.row_bytes, y, source.rows.size, source.fill)
        return Patch(
            value=source.tensor,
            height=height,
            width=width,
            pixel_bytes=source.pixel_bytes,
            y=y,
            rows=source.rows.size,
            x=Position.of("tile", source.columns),
            columns=source.columns.size,
            fill=source.fill,
            copy=copy,
        )

    def _new(self, lines: Lines, firing: Firing, rows: int = 0) -> Place:
        """The rows that a turn makes, from one of them on."""
        first = lines.rows - firing.rows.size + rows
        return Place(lines.tensor, first * lines.row_bytes // self._item_bytes(lines.tensor))

    def _turn(self, firing: Firing) -> Turn:
        lines = self._stage.lines.get(self._output(firing))
        move, fill, partial = None, None, None
        if lines is not None:
            made = firing.rows.size * lines.row_bytes
            if lines.rows > firing.rows.size:
                move = Move(lines.tensor, lines.bytes, made)
            if firing.total > firing.firings:
                fill = Fill(self._new(lines, firing), lines.fill & 0xFF, made)
            if firing.partial:
                outside = made - firing.partial * lines.row_bytes
                partial = Fill(self._new(lines, firing, firing.partial), lines.fill & 0xFF, outside)
        return Turn(
            layer=firing.step,
            phase=firing.phase,
            period=firing.period,
            firings=firing.firings,
            turns=firing.total,
            move=move,
            fill=fill,
            partial=partial,
            output=self._output(firing),
            values=tuple(self._values(firing)),
            after=tuple(self._after(firing, lines)),
        )

    def _after(self, firing: Firing, lines: Lines | None) -> Iterator[Statement]:
        """Trace what was made; fill what lies outside the tensor; copy the patch to its place."""
        name = self._output(firing)
        t, made = self._graph.types[name], firing.site.sig.output
        if lines is None:  # what is whole in memory is traced after the stage; here the time counts
            yield TurnDone(firing.step)
        if firing.sums:
            return
        (whole, width), (rows, columns) = grid(t.shape), grid(made.shape)
        pixel = t.bytes // (whole * width)
        y, x = Position.of("n", firing.rows), Position.of("tile", firing.columns)
        if lines is not None:
            bytes_ = firing.rows.size * lines.row_bytes
            yield PartDone(firing.step, self._new(lines, firing), bytes_, y, x, columns)
            if lines.outside:
                # a stream fills the rows above and below by turns of their own
                stream = self._stage.mode == "stream"
                top, height = (Position("n", 0), rows) if stream else (y, whole)
                place = self._new(lines, firing)
                yield FillOutside(place, rows, columns, pixel, top, height, x, width, lines.fill)
        if firing.put:
            patch = put_name(firing.step)
            yield Put(name, whole, width, pixel, y, rows, x, columns, patch)
