"""Stages that are executed row by row: how the layers of a stage follow each other, and what each must keep.

A stage is a run of nodes through which rows flow: each node computes `rows` rows of its output whenever its operands
have the rows that it reads, and every tensor inside the stage keeps only the rows that somebody still needs. Nothing is
computed twice. (StreamNet, Zheng et al., NeurIPS 2023, keeps such line buffers; the arithmetic here is for any window.)

A node *fires* at the ticks `phase + period * n`: its firing n computes the output rows [n * rows, (n + 1) * rows). The
period is the product of the strides before it. Rows above and below a tensor, which padding reads, are filled with its
zero point: before the first firing and by firings beyond the last. So every firing sees the same shapes and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import gcd

from tinycompile.ir import Graph, Node, Op, Region, Signature, Site
from tinycompile.kernels.base import safe_distance


@dataclass(frozen=True)
class Reach:
    """Output row y reads the rows [y * stride - above, y * stride - above + extent) of an operand."""

    stride: int
    extent: int
    above: int

    def rows_for(self, rows: int) -> int:
        """How many rows an operand must offer for so many output rows."""
        return (rows - 1) * self.stride + self.extent

    @staticmethod
    def of(op: Op, sig: Signature, operand: int) -> Reach | None:
        """None where the operator doesn't read that operand by rows."""
        first, second = (op.input_region(sig, Region(y, y + 1, 0, 1), operand) for y in (0, 1))
        if first is None or second is None:
            return None
        return Reach(second.y0 - first.y0, first.y1 - first.y0, -first.y0)


@dataclass(frozen=True)
class Source:
    """Where a firing reads an operand.

    Attributes:
        rows: how many. first: row of its line buffer; None where the operand is whole in memory.
        row_bytes: from row to row.
    """

    operand: int
    tensor: str
    reach: Reach
    rows: int
    first: int | None
    row_bytes: int


@dataclass(frozen=True)
class Lines:
    """The line buffer of a tensor inside a stage; its newest rows are at its end.

    Attributes:
        rows: that it holds. height: of the tensor.
        passes: every row is read in the tick that makes it, so that nothing is kept from tick to tick.
    """

    tensor: str
    rows: int
    row_bytes: int
    height: int
    fill: int
    passes: bool

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes


@dataclass(frozen=True, eq=False)
class Firing:
    """A node of a stage.

    Attributes:
        firings: that compute. total: with those that only fill the rows below the tensor.
        site: the node for `rows` rows of output, for which kernels are chosen.
        partial: rows of the last firing that are inside the tensor, if not all are.
        sums: its output is not rows but sums over all of them (`SpatialSum`).
    """

    step: int
    period: int
    phase: int
    firings: int
    total: int
    rows: int
    sources: tuple[Source, ...]
    site: Site
    partial: int
    sums: bool


@dataclass(frozen=True, eq=False)
class Stage:
    """Nodes [first, last) of the order of execution, executed together.

    Attributes:
        lines: the tensors inside, by name. whole: tensors read from outside. output: the tensor that is left.
        distances: per tensor of `whole`, how far it must lie above the output to share memory with it.
    """

    first: int
    last: int
    rows: int
    ticks: int
    firings: tuple[Firing, ...]
    lines: Mapping[str, Lines]
    whole: tuple[str, ...]
    output: str
    distances: Mapping[str, int]


class NotStreamable(Exception):  # noqa: N818 - a result, not a failure
    """The nodes can't be executed row by row together.

    Args:
        final: nor can any longer run of nodes that starts with them.
    """

    def __init__(self, why: str, *, final: bool = True) -> None:
        self.final = final
        super().__init__(why)


def make_stage(graph: Graph, first: int, last: int, rows: int) -> Stage:
    """The stage of the nodes [first, last), each computing `rows` rows at a time.

    Raises:
        NotStreamable: an operator isn't by rows, or more than the last node's output is needed outside.
    """
    return _Builder(graph, first, last, rows).stage()


class _Builder:
    def __init__(self, graph: Graph, first: int, last: int, rows: int) -> None:
        self._graph, self._first, self._last, self._rows = graph, first, last, rows
        self._nodes = graph.nodes[first:last]
        self._index = {node.outputs[0]: i for i, node in enumerate(self._nodes)}
        self._check_outputs()
        self._sigs = [graph.signature(node) for node in self._nodes]
        self._ops = [self._on_rows(node, sig) for node, sig in zip(self._nodes, self._sigs, strict=True)]
        self._reaches = [self._reaches_of(i) for i in range(len(self._nodes))]
        self._periods, self._phases = self._timing()

    def stage(self) -> Stage:
        firings_needed = self._firings()
        lines = {node.outputs[0]: self._lines(i) for i, node in enumerate(self._nodes[:-1])}
        firings = tuple(self._firing(i, lines, *firings_needed[i]) for i in range(len(self._nodes)))
        inside = set(lines)
        whole = dict.fromkeys(s.tensor for f in firings for s in f.sources if s.tensor not in inside)
        ticks = max(f.phase + f.period * (f.firings - 1) for f in firings) + 1
        output = self._nodes[-1].outputs[0]
        stage = Stage(self._first, self._last, self._rows, ticks, firings, lines, tuple(whole), output, {})
        return replace(stage, distances={name: self._distance(stage, name) for name in whole})

    def _check_outputs(self) -> None:
        consumers = self._graph.consumers()
        for node in self._nodes:
            if len(node.outputs) != 1:
                raise NotStreamable(f"{node.name} has several outputs")
        inside = {id(node) for node in self._nodes}
        for node in self._nodes[:-1]:
            readers = consumers.get(node.outputs[0], [])
            if node.outputs[0] in self._graph.outputs or any(id(reader) not in inside for reader in readers):
                beyond = node.outputs[0] in self._graph.outputs
                raise NotStreamable(f"the output of {node.name} is needed outside", final=beyond)

    def _on_rows(self, node: Node, sig: Signature) -> Op:
        op = node.op.on_padded_rows(sig, self._rows)
        if op is None or (sig.inputs and len(sig.inputs[0].shape) != 4):
            raise NotStreamable(f"{node.name} isn't computed by rows")
        return op

    def _is_sum(self, i: int) -> bool:
        """A node whose output isn't made of rows: it must be the last."""
        return self._nodes[i].op.accumulates

    def _reaches_of(self, i: int) -> dict[int, Reach]:
        node, sig = self._nodes[i], self._sigs[i]
        if self._is_sum(i):
            if i != len(self._nodes) - 1:
                raise NotStreamable(f"{node.name} sums up all rows")
            return {0: Reach(1, 1, 0)}
        if node.op.comes_from_caller:
            return {}
        found = dict[int, Reach]()
        for operand, name in enumerate(node.inputs):
            if name in self._graph.constants:
                continue
            reach = Reach.of(node.op, sig, operand)
            if reach is None or reach.stride < 1 or reach.above < 0:
                raise NotStreamable(f"{node.name} does not read its operands by rows")
            if self._pads(i, operand, reach) and sig.inputs[operand].dtype != "int8":
                raise NotStreamable(f"{node.name} pads what isn't int8")
            found[operand] = reach
        if not found:
            raise NotStreamable(f"{node.name} reads constants only")
        return found

    def _timing(self) -> tuple[list[int], list[int]]:
        """Periods and phases; a tensor from outside is there from the start and has period 1 per row of the input."""
        periods, phases = list[int](), list[int]()
        for i, node in enumerate(self._nodes):
            wanted = {1} if self._nodes[i].op.comes_from_caller else set[int]()
            phase = 0
            for operand, reach in self._reaches[i].items():
                producer = self._index.get(node.inputs[operand])
                if producer is None:
                    wanted.add(reach.stride)
                    continue
                wanted.add(periods[producer] * reach.stride)
                ahead = (reach.stride * (self._rows - 1) + reach.extent - 1 - reach.above) // self._rows
                phase = max(phase, phases[producer] + periods[producer] * max(0, ahead))
            if len(wanted) != 1:
                raise NotStreamable(f"the operands of {node.name} advance at different rates")
            periods.append(wanted.pop())
            phases.append(phase)
        unit = gcd(*periods)
        if any(phase % unit for phase in phases):
            raise NotStreamable("the rates of the stage's layers don't match")
        return [p // unit for p in periods], [p // unit for p in phases]

    def _height(self, i: int) -> int:
        """Rows to compute: for sums those that are summed."""
        return self._sigs[i].input.shape[1] if self._is_sum(i) else self._sigs[i].output.shape[1]

    def _firings(self) -> list[tuple[int, int]]:
        """Per node (firings that compute, with those that fill)."""
        computing = [-(-self._height(i) // self._rows) for i in range(len(self._nodes))]
        if self._height(len(self._nodes) - 1) % self._rows:
            raise NotStreamable("the output's rows aren't a multiple of those computed at a time", final=False)
        total = list(computing)
        for i, node in enumerate(self._nodes):
            for operand, reach in self._reaches[i].items():
                producer = self._index.get(node.inputs[operand])
                if producer is not None:  # it keeps its lead to the end, so that rows stay where they are read
                    last = reach.stride * (computing[i] - 1) + self._ahead(producer, i)
                    total[producer] = max(total[producer], last + 1)
        return list(zip(computing, total, strict=True))

    def _ahead(self, producer: int, consumer: int) -> int:
        """Firings of the producer beyond stride * n at the consumer's firing n."""
        return (self._phases[consumer] - self._phases[producer]) // self._periods[producer]

    def _lines(self, i: int) -> Lines:
        name, held, passes, fills = self._nodes[i].outputs[0], 0, True, set[int]()
        for consumer, node in enumerate(self._nodes):
            for operand, reach in self._reaches[consumer].items():
                if node.inputs[operand] == name:
                    held = max(held, (self._ahead(i, consumer) + 1) * self._rows + reach.above)
                    passes = passes and (self._phases[consumer] - self._phases[i]) % self._periods[i] == 0
                    if self._pads(consumer, operand, reach):
                        fills.add(node.op.row_fill(self._sigs[consumer]))
        if held == 0:
            raise NotStreamable(f"nobody reads {name}", final=False)
        if len(fills) > 1:
            raise NotStreamable(f"the readers of {name} pad with different values", final=False)
        t, fill = self._sigs[i].output, next(iter(fills), 0)
        return Lines(name, held, t.bytes // t.shape[1], t.shape[1], fill, passes and held == self._rows)

    def _pads(self, consumer: int, operand: int, reach: Reach) -> bool:
        """Whether a node reads rows above or below an operand."""
        sig = self._sigs[consumer]
        if self._is_sum(consumer) or self._nodes[consumer].op.reads_planes:
            return False
        beyond = reach.rows_for(sig.output.shape[1]) - reach.above > sig.inputs[operand].shape[1]
        return reach.above > 0 or beyond

    def _firing(self, i: int, lines: Mapping[str, Lines], firings: int, total: int) -> Firing:
        node, sig = self._nodes[i], self._sigs[i]
        sources, types = list[Source](), list(sig.inputs)
        for operand, reach in self._reaches[i].items():
            name, rows, first = node.inputs[operand], reach.rows_for(self._rows), None
            if name in lines:
                newest = (self._ahead(self._index[name], i) + 1) * self._rows
                first = lines[name].rows - reach.above - newest
            t = types[operand]
            if self._ops[i].reads_planes:
                if name in lines or firings * self._rows != t.shape[2]:
                    raise NotStreamable(f"the planes that {node.name} reads aren't whole")
                sources.append(Source(operand, name, reach, rows, None, t.bytes // (t.shape[1] * t.shape[2])))
                continue
            sources.append(Source(operand, name, reach, rows, first, t.bytes // t.shape[1]))
            types[operand] = replace(t, shape=(1, rows, *t.shape[2:]))
        sums = self._is_sum(i)
        output = sig.output if sums else replace(sig.output, shape=(1, self._rows, *sig.output.shape[2:]))
        on_rows = Node(node.name, self._ops[i], node.inputs, node.outputs)
        if not sums and self._ops[i].infer(types) != ((output.shape, output.dtype),):
            raise NotStreamable(f"{node.name} doesn't yield {self._rows} rows")
        constants = tuple(self._graph.constants.get(name) for name in node.inputs)
        return Firing(
            step=self._first + i,
            period=self._periods[i],
            phase=self._phases[i],
            firings=firings,
            total=total,
            rows=self._rows,
            sources=tuple(sources),
            site=Site(on_rows, Signature(tuple(types), (output,)), constants),
            partial=self._height(i) % self._rows,
            sums=sums,
        )

    def _distance(self, stage: Stage, whole: str) -> int:
        return safe_distance(iter(list(_writes(stage, whole, self._graph))))


def _writes(stage: Stage, whole: str, graph: Graph) -> Iterator[tuple[int, int]]:
    """At each firing of the last node: the lowest byte of `whole` still to be read, and the end of what is written."""
    t, output = graph.types[whole], graph.types[stage.output]
    last = stage.firings[-1]
    if last.sums:
        yield 0, output.bytes  # they are cleared before anything is read
        return
    readers = [(f, s) for f in stage.firings for s in f.sources if s.tensor == whole]
    written = last.rows * output.bytes // output.shape[1]
    for n in range(last.firings):
        tick = last.phase + last.period * n
        pending = t.bytes
        for firing, source in readers:
            done = firing is not last and tick >= firing.phase
            following = (tick - firing.phase) // firing.period + 1 if done else (n if firing is last else 0)
            if following < firing.firings:
                row = following * firing.rows * source.reach.stride - source.reach.above
                pending = min(pending, max(0, row) * source.row_bytes)
        yield pending, min(output.bytes, (n + 1) * written)


def band_bytes(firing: Firing, source: Source, graph: Graph) -> int:
    """Bytes of the copy that a firing needs where its rows of a whole tensor reach beyond it; 0 if they never do."""
    t = graph.types[source.tensor]
    if source.first is not None:
        return 0
    if firing.site.node.op.reads_planes:
        return 0
    lowest = (firing.firings - 1) * firing.rows * source.reach.stride - source.reach.above + source.rows
    beyond = source.reach.above > 0 or lowest > t.shape[1]
    return source.rows * t.bytes // t.shape[1] if beyond else 0


def stage_macs(stage: Stage, graph: Graph) -> int:
    """Multiply-accumulates that the stage executes: rows computed in vain included."""
    total = 0
    for firing in stage.firings:
        node = graph.nodes[firing.step]
        sig = graph.signature(node)
        height = sig.output.shape[1] if not firing.sums else 1
        total += node.op.macs(sig) * (firing.firings * firing.rows if not firing.sums else 1) // height
    return total
