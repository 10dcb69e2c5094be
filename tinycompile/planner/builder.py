"""What streams and patches have in common: columns, operands, the memory of tensors inside, the finished stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from tinycompile.ir import Graph
from tinycompile.kernels.base import safe_distance
from tinycompile.planner.members import Members
from tinycompile.planner.stage import Axis, Firing, Lines, Mode, Source, Span, Stage, grid

Writes = Callable[[Stage, str, Graph], Iterator[tuple[int, int]]]
"""For a tensor from outside: `safe_distance`'s steps of the stage's output."""


class Builder:
    """Of the stage of some nodes, whose columns are divided into tiles of `tile` each, if that isn't None.

    Attributes:
        down, across: what each node reads of its operands, by rows and by columns; `across` only where tiles are.
        columns: that each node computes for a tile; None for all. tiles: how many there are.
    """

    def __init__(self, members: Members, tile: int | None) -> None:
        self.members = members
        self.down = members.reaches("rows")
        self.across = [] if tile is None else members.reaches("columns")
        self.columns: list[Span | None] = [None] * len(members)
        self.tiles = 1
        if tile is not None:
            self.tiles = -(-members.computed(len(members) - 1)[1] // tile)
            self.columns = [*members.spans(self.across, Span(tile, tile))]

    def width(self, i: int) -> int | None:
        """Columns that a node computes; None for all."""
        columns = self.columns[i]
        return None if columns is None else columns.size

    def padding_readers(self, i: int, axis: Axis) -> set[tuple[int, int]]:
        """(node, operand) of those that read positions outside a node's output along a divided axis."""
        members, reaches = self.members, self.down if axis == "rows" else self.across
        return {
            (reader, operand)
            for reader, operand in (members.readers(members.nodes[i].outputs[0]) if reaches else ())
            if members.pads(reader, operand, axis)
        }

    def lines(self, i: int, rows: int, padding_readers: set[tuple[int, int]], *, passes: bool, outside: bool) -> Lines:
        """Memory for so many rows of a node's output. Raises NotStreamable where readers pad differently."""
        name, t, columns = self.members.nodes[i].outputs[0], self.members.sigs[i].output, self.columns[i]
        height, width = grid(t.shape)
        return Lines(
            tensor=name,
            rows=rows,
            row_bytes=t.bytes // (height * width) * (width if columns is None else columns.size),
            height=height,
            width=width,
            fill=self.members.fill(name, padding_readers),
            passes=passes,
            columns=columns,
            outside=outside,
        )

    def source(self, i: int, operand: int, rows: Span, held: Lines | None, first: int | None) -> Source:
        """Where a node that computes `rows` reads an operand.

        Args:
            held: the operand's memory inside the stage, in which `first` is the first row; None if it is whole outside.
        """
        t, columns = self.members.sigs[i].inputs[operand], self.columns[i]
        needed = None if columns is None else columns.read_by(self.across[i][operand])
        divided = None if held is None else held.columns
        return Source(
            operand=operand,
            tensor=self.members.nodes[i].inputs[operand],
            rows=rows.read_by(self.down[i][operand]),
            first=first,
            row_bytes=t.bytes // grid(t.shape)[0] if held is None else held.row_bytes,
            pixel_bytes=t.bytes // prod(grid(t.shape)),
            columns=needed,
            first_column=0 if divided is None or needed is None else divided.before - needed.before,
            cropped=divided is not None and needed != divided,
            fill=self.members.fill_of(i, operand),
            planes=self.members.reads_planes(i, operand),
        )

    def shape(self, i: int, source: Source) -> tuple[int, int]:
        """(rows, columns) of an operand that a turn reads."""
        whole = grid(self.members.sigs[i].inputs[source.operand].shape)[1]
        return source.rows.size, whole if source.columns is None else source.columns.size

    def finished(
        self, mode: Mode, rows: int, ticks: int, firings: Sequence[Firing], lines: Mapping[str, Lines], writes: Writes
    ) -> Stage:
        """The stage, with how far what it reads must lie above its output."""
        members = self.members
        divided = dict.fromkeys(s.tensor for f in firings for s in f.sources if s.tensor not in members.index)
        whole = dict.fromkeys((*divided, *(name for f in firings for name in f.entire)))
        stage = Stage(
            mode=mode,
            first=members.first,
            last=members.last,
            rows=rows,
            ticks=ticks,
            tiles=self.tiles,
            firings=tuple(firings),
            lines=lines,
            whole=tuple(whole),
            output=members.output,
            beside=members.beside,
            distances={},
        )
        apart = divided.keys() - {name for firing in firings for name in firing.entire}
        distances = {n: safe_distance(writes(stage, n, members.graph)) for n in divided if n in apart}
        return replace(stage, distances=distances)
