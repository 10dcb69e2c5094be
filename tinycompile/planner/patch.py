"""Stages that are executed patch by patch: the layers of a stage compute one patch of their tensors after the other.

For a patch of the stage's output, every tensor inside is computed just where its readers need it: the receptive field,
from the output backwards, is an affine span of rows and of columns per tensor. What neighbouring patches both need, the
halo, is computed for each of them. (MCUNetV2, Lin et al., NeurIPS 2021; here for any window, and several readers.)

Patches of a tensor all have the same size. Where one reaches outside its tensor, those positions are filled with what
the readers' padding is, once the patch is computed; so every layer is one without padding. A grid of one column of
patches keeps whole rows: what lies whole in memory is then read and written in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from tinycompile.ir import Graph
from tinycompile.planner.builder import Builder
from tinycompile.planner.members import Geometry, Members
from tinycompile.planner.stage import Firing, Lines, NotStreamable, Source, Span, Stage, grid


def make_patches(geometry: Geometry, first: int, last: int, grid: tuple[int, int]) -> Stage:
    """The stage of the nodes [first, last), in which the output is computed on a grid of (rows, columns) of patches.

    Patches have the same size, so that the grid may come out smaller than asked for: 7 rows are never in 5 parts.

    Raises:
        NotStreamable: an operator isn't spatial, more than the last node's output is needed outside, or the grid is
            a single patch.
    """
    return _Patches(Members(geometry, first, last), grid).stage()


class _Patches(Builder):
    def __init__(self, members: Members, grid: tuple[int, int]) -> None:
        members.check_nothing_beside()
        if members.are_given:
            raise NotStreamable("the caller gives every row but once")
        end = len(members) - 1
        height, width = members.computed(end)
        rows, columns = -(-height // grid[0]), -(-width // grid[1])
        if members.sums(end):  # nothing may be summed twice
            rows, columns = _divisor(height, rows), _divisor(width, columns)
        self._count = -(-height // rows)
        if self._count == 1 and columns == width:
            raise NotStreamable("there is but one patch", final=False)
        super().__init__(members, columns if columns < width else None)
        self._rows = members.spans(self.down, Span(rows, rows))
        self._put = not members.sums(end) and bool(self.tiles > 1 or height % rows)

    def stage(self) -> Stage:
        nodes = self.members.nodes
        patches = {node.outputs[0]: self._patch(i) for i, node in enumerate(nodes[:-1])}
        firings = [self._firing(i, patches) for i in range(len(nodes))]
        return self.finished("patch", self._rows[-1].size, self._count, firings, patches, _writes)

    def _patch(self, i: int) -> Lines:
        rows, columns = self._rows[i], self.columns[i]
        readers = self.padding_readers(i, "rows") | self.padding_readers(i, "columns")
        height, width = grid(self.members.sigs[i].output.shape)
        beyond = rows.leaves(self._count, height) or (columns is not None and columns.leaves(self.tiles, width))
        return self.lines(i, rows.size, readers, passes=True, outside=bool(readers) and beyond)

    def _firing(self, i: int, patches: Mapping[str, Lines]) -> Firing:
        members, rows = self.members, self._rows[i]
        if any(members.reads_planes(i, operand) for operand in self.down[i]):
            raise NotStreamable(f"{members.nodes[i].name} reads planes")
        sources = tuple(self._source(i, operand, patches) for operand in self.down[i])
        shapes = {source.operand: self.shape(i, source) for source in sources}
        return Firing(
            step=members.first + i,
            period=1,
            phase=0,
            firings=self._count,
            total=self._count,
            rows=rows,
            columns=self.columns[i],
            sources=sources,
            entire=members.entire(i),
            site=members.site(i, shapes, rows.size, self.width(i)),
            partial=0,
            sums=members.sums(i),
            put=self._put and i == len(members) - 1,
        )

    def _source(self, i: int, operand: int, patches: Mapping[str, Lines]) -> Source:
        held, first = patches.get(self.members.nodes[i].inputs[operand]), None
        if held is not None:
            read = self._rows[i].read_by(self.down[i][operand])
            first = self._rows[self.members.index[held.tensor]].before - read.before
        return self.source(i, operand, self._rows[i], held, first)


def _divisor(size: int, most: int) -> int:
    """The largest divisor of `size` that is at most `most`."""
    return next(n for n in range(most, 0, -1) if size % n == 0)


def _writes(stage: Stage, whole: str, graph: Graph) -> Iterator[tuple[int, int]]:
    """For each patch: the lowest byte of `whole` still to be read when its result is written, and where that ends."""
    output, last = graph.types[stage.output], stage.firings[-1]
    if last.sums:
        yield 0, output.bytes  # they are cleared before anything is read
        return
    readers = [(f, s) for f in stage.firings for s in f.sources if s.tensor == whole]
    patches = [(n, m) for n in range(stage.ticks) for m in range(stage.tiles)]
    pending, steps = graph.types[whole].bytes, list[tuple[int, int]]()
    for n, m in reversed(patches):
        in_place = [s for f, s in readers if f is last and not last.put]
        steps.append((min([pending, *(_lowest(s, n, m) for s in in_place)]), _end(last, output.shape, n, m)))
        pending = min([pending, *(_lowest(s, n, m) for _, s in readers)])
    yield from ((lowest, min(end, output.bytes)) for lowest, end in reversed(steps))


def _lowest(source: Source, n: int, m: int) -> int:
    """First byte that is read for patch (n, m)."""
    row = max(0, n * source.rows.step - source.rows.before)
    column = 0 if source.columns is None else max(0, m * source.columns.step - source.columns.before)
    return row * source.row_bytes + column * source.pixel_bytes


def _end(last: Firing, shape: tuple[int, ...], n: int, m: int) -> int:
    """One past the last byte that is written for patch (n, m)."""
    (height, width), made = grid(shape), last.site.sig.output
    row = min(height, n * last.rows.step + last.rows.size)
    column = width if last.columns is None else min(width, m * last.columns.step + last.columns.size)
    return ((row - 1) * width + column) * made.bytes // prod(grid(made.shape))
