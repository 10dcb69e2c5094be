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
from dataclasses import replace

from tinycompile.ir import Graph
from tinycompile.kernels.base import safe_distance
from tinycompile.planner.members import Geometry, Members
from tinycompile.planner.stage import Firing, Lines, NotStreamable, Source, Span, Stage


def make_patches(geometry: Geometry, first: int, last: int, grid: tuple[int, int]) -> Stage:
    """The stage of the nodes [first, last), in which the output is computed on a grid of (rows, columns) of patches.

    Patches have the same size, so that the grid may come out smaller than asked for: 7 rows are never in 5 parts.

    Raises:
        NotStreamable: an operator isn't spatial, more than the last node's output is needed outside, or the grid is
            a single patch.
    """
    return _Builder(Members(geometry, first, last), grid).stage()


class _Builder:
    def __init__(self, members: Members, grid: tuple[int, int]) -> None:
        self._members = members
        if any(node.op.comes_from_caller for node in members.nodes):
            raise NotStreamable("the caller gives every row but once")
        end = len(members) - 1
        height, width = members.computed(end)
        patch = -(-height // grid[0]), -(-width // grid[1])
        if members.sums(end):  # nothing may be summed twice
            patch = _divisor(height, patch[0]), _divisor(width, patch[1])
        self._grid = -(-height // patch[0]), -(-width // patch[1])
        if self._grid == (1, 1):
            raise NotStreamable("there is but one patch", final=False)
        uneven = height % patch[0] or width % patch[1]
        self._down = members.reaches("rows")
        self._rows = members.spans(self._down, Span(patch[0], patch[0]))
        self._across = members.reaches("columns") if self._grid[1] > 1 else []
        self._columns: list[Span | None] = [None] * len(members)
        if self._grid[1] > 1:
            self._columns = [*members.spans(self._across, Span(patch[1], patch[1]))]
        self._put = not members.sums(end) and bool(self._grid[1] > 1 or uneven)

    def stage(self) -> Stage:
        members = self._members
        lines = {node.outputs[0]: self._patch(i) for i, node in enumerate(members.nodes[:-1])}
        firings = tuple(self._firing(i, lines) for i in range(len(members)))
        whole = dict.fromkeys(s.tensor for f in firings for s in f.sources if s.tensor not in lines)
        stage = Stage(
            mode="patch",
            first=members.first,
            last=members.last,
            rows=self._rows[-1].size,
            ticks=self._grid[0],
            tiles=self._grid[1],
            firings=firings,
            lines=lines,
            whole=tuple(whole),
            output=members.output,
            distances={},
        )
        graph = members.graph
        return replace(stage, distances={name: safe_distance(_writes(stage, name, graph)) for name in whole})

    def _patch(self, i: int) -> Lines:
        members, rows, columns = self._members, self._rows[i], self._columns[i]
        name, t, padded = members.nodes[i].outputs[0], members.sigs[i].output, set[int]()
        for consumer, operand in members.readers(name):
            if members.pads(consumer, operand, self._down[consumer][operand], "rows"):
                padded.add(consumer)
            if columns is not None and members.pads(consumer, operand, self._across[consumer][operand], "columns"):
                padded.add(consumer)
        height, width = t.shape[1:3]
        beyond = rows.leaves(self._grid[0], height)
        beyond = beyond or (columns is not None and columns.leaves(self._grid[1], width))
        return Lines(
            tensor=name,
            rows=rows.size,
            row_bytes=t.bytes // (height * width) * (width if columns is None else columns.size),
            height=height,
            width=width,
            fill=members.fill(name, padded),
            passes=True,
            columns=columns,
            outside=bool(padded) and beyond,
        )

    def _firing(self, i: int, lines: Mapping[str, Lines]) -> Firing:
        members, rows, columns = self._members, self._rows[i], self._columns[i]
        width = None if columns is None else columns.size
        if members.part(i, rows.size, width).reads_planes:
            raise NotStreamable(f"{members.nodes[i].name} reads planes")
        sources = tuple(self._source(i, operand, lines) for operand in self._down[i])
        shapes = {s.operand: (s.rows.size, self._width(i, s)) for s in sources}
        return Firing(
            step=members.first + i,
            period=1,
            phase=0,
            firings=self._grid[0],
            total=self._grid[0],
            rows=rows,
            columns=columns,
            sources=sources,
            site=members.site(i, shapes, rows.size, width),
            partial=0,
            sums=members.sums(i),
            put=self._put and i == len(members) - 1,
        )

    def _width(self, i: int, source: Source) -> int:
        return self._members.sigs[i].inputs[source.operand].shape[2] if source.columns is None else source.columns.size

    def _source(self, i: int, operand: int, lines: Mapping[str, Lines]) -> Source:
        members, columns = self._members, self._columns[i]
        node, t = members.nodes[i], members.sigs[i].inputs[operand]
        rows = self._rows[i].read_by(self._down[i][operand])
        needed = None if columns is None else columns.read_by(self._across[i][operand])
        held = lines.get(node.inputs[operand])
        first, first_column, row_bytes, cropped = None, 0, t.bytes // t.shape[1], False
        if held is not None:
            first, row_bytes = self._rows[members.index[held.tensor]].before - rows.before, held.row_bytes
            if held.columns is not None and needed is not None:
                first_column, cropped = held.columns.before - needed.before, needed != held.columns
        pixel = t.bytes // (t.shape[1] * t.shape[2])
        return Source(operand, node.inputs[operand], rows, first, row_bytes, pixel, needed, first_column, cropped)


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
    bytes_ = last.site.sig.output.bytes // (last.site.sig.output.shape[1] * last.site.sig.output.shape[2])
    row = min(shape[1], n * last.rows.step + last.rows.size)
    column = shape[2] if last.columns is None else min(shape[2], m * last.columns.step + last.columns.size)
    return ((row - 1) * shape[2] + column) * bytes_
