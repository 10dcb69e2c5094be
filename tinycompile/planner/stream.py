"""Stages that are executed row by row: how the layers of a stage follow each other, and what each must keep.

Each node computes `rows` rows of its output whenever its operands have the rows that it reads, and every tensor inside
the stage keeps only the rows that somebody still needs. Nothing is computed twice. (StreamNet, Zheng et al., NeurIPS
2023, keeps such line buffers; the arithmetic here is for any window.)

A node *fires* at the ticks `phase + period * n`: its firing n computes the output rows [n * rows, (n + 1) * rows). The
period is the product of the strides before it. Rows above and below a tensor, which padding reads, are filled with its
zero point: before the first firing and by firings beyond the last. So every firing sees the same shapes and addresses.

With `tiles` the columns are divided, and all this happens once for each tile: line buffers are narrower, and the
columns that neighbouring tiles both need are computed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm

from tinycompile.ir import Graph
from tinycompile.planner.builder import Builder
from tinycompile.planner.members import Geometry, Members, up_of
from tinycompile.planner.stage import Firing, Lines, NotStreamable, Source, Span, Stage, grid

Rational = int | Fraction

MOST_ROWS = 32
"""That a node may compute at a time."""


def make_stage(geometry: Geometry, first: int, last: int, rows: int, tiles: int = 1) -> Stage:
    """The stage of the nodes [first, last), each computing `rows` rows at a time, in `tiles` tiles of columns.

    Raises:
        NotStreamable: an operator isn't by rows, or more than the last node's output is needed outside.
    """
    return _Stream(Members(geometry, first, last), rows, tiles).stage()


class _Stream(Builder):
    def __init__(self, members: Members, rows: int, tiles: int) -> None:
        width = members.computed(len(members) - 1)[1] if tiles > 1 else 0
        tile = -(-width // tiles)
        super().__init__(members, tile if tiles > 1 else None)
        self._rows = rows
        self._made = self._rows_made()
        self._periods, self._phases = self._timing()
        if tiles > 1:
            self._check_tiles(width % tile)

    def stage(self) -> Stage:
        nodes, firings_needed = self.members.nodes, self._firings()
        inside = [i for i, node in enumerate(nodes[:-1]) if node.outputs[0] not in self.members.beside]
        lines = {nodes[i].outputs[0]: self._lines(i) for i in inside}
        firings = [self._firing(i, lines, *firings_needed[i]) for i in range(len(nodes))]
        ticks = max(f.phase + f.period * (f.firings - 1) for f in firings) + 1
        return self.finished("stream", self._rows, ticks, firings, lines, _writes)

    def _check_tiles(self, rest: int) -> None:
        if self.tiles == 1:
            raise NotStreamable("there is but one tile", final=False)
        self.members.check_nothing_beside()
        if rest and self.members.sums(len(self.members) - 1):
            raise NotStreamable("the tiles to be summed don't divide the columns", final=False)
        if self.members.are_given:
            raise NotStreamable("rows that come whole can't be divided into tiles")

    def _rows_made(self) -> list[int]:
        """Rows that each node computes in a turn: more after an enlargement, until a stride undoes it."""
        made = list[int]()
        for i, node in enumerate(self.members.nodes):
            reaches, producers = self.down[i], self.members.index
            inside = [(reach, made[producers[n]]) for o, reach in reaches.items() if (n := node.inputs[o]) in producers]
            up = up_of(reaches)
            for rows in range(self._rows, MOST_ROWS + 1, self._rows):
                if rows % up == 0 and all(rows // up * reach.stride % of == 0 for reach, of in inside):
                    made.append(rows)
                    break
            else:
                raise NotStreamable(f"the operands of {node.name} advance at different rates")
        return made

    def _timing(self) -> tuple[list[int], list[int]]:
        """Periods and phases; a tensor from outside is there from the start: its rows take a tick for each `rows`."""
        periods, phases = list[Rational](), list[Rational]()
        for i, node in enumerate(self.members.nodes):
            wanted = set[Rational]()
            if self.members.is_given(i):
                wanted.add(1)
            phase: Rational = 0
            for operand, reach in self.down[i].items():
                producer = self.members.index.get(node.inputs[operand])
                span = self._span(i).read_by(reach)
                if producer is None:
                    wanted.add(_ratio(span.step, self._rows))
                    continue
                wanted.add(_ratio(periods[producer] * span.step, self._made[producer]))
                ahead = (span.size - 1 - span.before) // self._made[producer]
                phase = max(phase, phases[producer] + periods[producer] * max(0, ahead))
            if len(wanted) != 1:
                raise NotStreamable(f"the operands of {node.name} advance at different rates")
            periods.append(wanted.pop())
            phases.append(phase)
        parts = lcm(*(period.denominator for period in periods))
        unit = _ratio(gcd(*(int(period * parts) for period in periods)), parts)
        periods, phases = ([_ratio(value, unit) for value in values] for values in (periods, phases))
        if any(phase.denominator > 1 for phase in phases):
            raise NotStreamable("the rates of the stage's layers don't match")
        return [int(period) for period in periods], [int(phase) for phase in phases]

    def _span(self, i: int) -> Span:
        return Span(self._made[i], self._made[i])

    def _height(self, i: int) -> int:
        return self.members.computed(i)[0]

    def _firings(self) -> list[tuple[int, int]]:
        """Per node (firings that compute, with those that fill)."""
        nodes, whole = self.members.nodes, {*self.members.beside, self.members.output}
        computing = [-(-self._height(i) // self._made[i]) for i in range(len(nodes))]
        for i, node in enumerate(nodes):
            if node.outputs[0] in whole and self._height(i) % self._made[i]:
                raise NotStreamable(f"the rows of {node.outputs[0]} aren't made so many at a time", final=False)
        total = list(computing)
        for i, node in enumerate(nodes):
            for operand, reach in self.down[i].items():
                producer = self.members.index.get(node.inputs[operand])
                if producer is not None and nodes[producer].outputs[0] not in whole:
                    # It keeps its lead to the end, so that rows stay where they are read.
                    each = self._span(i).read_by(reach).step // self._made[producer]
                    last = each * (computing[i] - 1) + self._ahead(producer, i)
                    total[producer] = max(total[producer], last + 1)
        return list(zip(computing, total, strict=True))

    def _ahead(self, producer: int, consumer: int) -> int:
        """Firings of the producer beyond those for the consumer's firings before n, at its firing n."""
        return (self._phases[consumer] - self._phases[producer]) // self._periods[producer]

    def _lines(self, i: int) -> Lines:
        members, columns, held, passes = self.members, self.columns[i], 0, True
        name = members.nodes[i].outputs[0]
        for consumer, operand in members.readers(name):
            held = max(held, (self._ahead(i, consumer) + 1) * self._made[i] + self.down[consumer][operand].before)
            passes = passes and (self._phases[consumer] - self._phases[i]) % self._periods[i] == 0
        if held == 0:
            raise NotStreamable(f"nobody reads {name}", final=False)
        beside, width = self.padding_readers(i, "columns"), grid(members.sigs[i].output.shape)[1]
        return self.lines(
            i,
            held,
            self.padding_readers(i, "rows") | beside,
            passes=passes and held == self._made[i],
            outside=bool(beside) and columns is not None and columns.leaves(self.tiles, width),
        )

    def _firing(self, i: int, lines: Mapping[str, Lines], firings: int, total: int) -> Firing:
        members, rows = self.members, self._made[i]
        sources, shapes = list[Source](), dict[int, tuple[int, int]]()
        for operand in self.down[i]:
            source, t = self._source(i, operand, lines), members.sigs[i].inputs[operand]
            if source.planes and (source.first is not None or firings * rows != t.shape[2]):
                raise NotStreamable(f"the planes that {members.nodes[i].name} reads aren't whole")
            if source.planes:
                source = replace(source, row_bytes=t.bytes // (t.shape[1] * t.shape[2]))
            else:
                shapes[operand] = self.shape(i, source)
            sources.append(source)
        return Firing(
            step=members.first + i,
            period=self._periods[i],
            phase=self._phases[i],
            firings=firings,
            total=total,
            rows=self._span(i),
            columns=self.columns[i],
            sources=tuple(sources),
            entire=members.entire(i),
            site=members.site(i, shapes, rows, self.width(i)),
            partial=self._height(i) % rows,
            sums=members.sums(i),
            put=self.tiles > 1 and i == len(members) - 1 and not members.sums(i),
        )

    def _source(self, i: int, operand: int, lines: Mapping[str, Lines]) -> Source:
        held, first = lines.get(self.members.nodes[i].inputs[operand]), None
        if held is not None:
            producer = self.members.index[held.tensor]
            newest = (self._ahead(producer, i) + 1) * self._made[producer]
            first = held.rows - self.down[i][operand].before - newest
        return self.source(i, operand, self._span(i), held, first)


def _ratio(a: Rational, b: Rational) -> Rational:
    """a / b, an int where it is one: fractions are slow, and seldom."""
    return a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else Fraction(a) / b


def _writes(stage: Stage, whole: str, graph: Graph) -> Iterator[tuple[int, int]]:
    """At each firing of the last node: the lowest byte of `whole` still to be read, and the end of what is written."""
    t, output = graph.types[whole], graph.types[stage.output]
    last = stage.firings[-1]
    if last.sums or stage.tiles > 1:
        yield 0, output.bytes  # written before anything is read; or each tile reads all rows
        return
    readers = [(f, s) for f in stage.firings for s in f.sources if s.tensor == whole]
    written = last.rows.size * output.bytes // grid(output.shape)[0]
    for n in range(last.firings):
        tick = last.phase + last.period * n
        pending = t.bytes
        for firing, source in readers:
            done = firing is not last and tick >= firing.phase
            following = (tick - firing.phase) // firing.period + 1 if done else (n if firing is last else 0)
            if following < firing.firings:
                row = following * source.rows.step - source.rows.before
                pending = min(pending, max(0, row) * source.row_bytes)
        yield pending, min(output.bytes, (n + 1) * written)
