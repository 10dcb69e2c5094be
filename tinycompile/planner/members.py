"""The nodes of a stage, and what they ask of each other's rows and columns: common to streams and patches."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from tinycompile.access import Everywhere, Given, Planar, Reach, Summed
from tinycompile.dtypes import INT8
from tinycompile.ir import MAX_RAM_BYTES, Graph, ImpossibleSizeError, Node, Op, Signature, Site, TensorType, bounded
from tinycompile.planner.stage import AXES, Axis, NotStreamable, Span, Stage, grid, has_rows, with_grid

Reaches = dict[int, Reach]
"""Per operand that is computed at run time, but for those that are read everywhere."""


def up_of(reaches: Reaches) -> int:
    """How many positions of a node's output read the same."""
    return next((reach.up for reach in reaches.values()), 1)


class Geometry:
    """A graph, and what its nodes read of their operands: looked up once for all stages.

    Args:
        kept: values in memory of their own: it isn't divided into rows, but may be read everywhere.
    """

    def __init__(self, graph: Graph, kept: Container[str] = ()) -> None:
        self.graph, self._kept = graph, kept
        self.sigs = [graph.signature(node) for node in graph.nodes]
        self.consumers = graph.consumers()
        self.steps = {node: step for step, node in enumerate(graph.nodes)}
        self._accesses = [
            [node.op.access(sig, operand) for operand in range(max(1, len(node.inputs)))]
            for node, sig in zip(graph.nodes, self.sigs, strict=True)
        ]
        self._reaches: dict[tuple[int, Axis], Reaches | NotStreamable] = {}
        self._padded = set[tuple[int, int, Axis]]()
        self.sites: dict[tuple[object, ...], Site] = {}
        """Nodes for parts of their outputs, by step and part."""
        self._stages: dict[tuple[object, int, int], Stage | NotStreamable] = {}

    def once(self, run: tuple[object, int, int], make: Callable[[], Stage]) -> Stage:
        """The stage of a run of nodes, (way, first, last), made by the first who asks. Raises NotStreamable."""
        if run not in self._stages:
            try:
                self._stages[run] = make()
            except NotStreamable as error:
                self._stages[run] = error.again()
        found = self._stages[run]
        if isinstance(found, NotStreamable):
            raise found.again()
        return found

    def sums(self, step: int) -> bool:
        """Whether the output of a node isn't made of rows but sums them up."""
        return isinstance(self._accesses[step][0], Summed)

    def entire(self, step: int) -> tuple[str, ...]:
        """The operands of a node in RAM that are read everywhere."""
        accesses = zip(self.graph.nodes[step].inputs, self._accesses[step], strict=False)
        return tuple(n for n, access in accesses if isinstance(access, Everywhere) and n not in self.graph.constants)

    def is_given(self, step: int) -> bool:
        """Whether the rows of a node come from the caller."""
        return isinstance(self._accesses[step][0], Given)

    def reads_planes(self, step: int, operand: int) -> bool:
        """Whether a row is one of each of an operand's planes."""
        return isinstance(self._accesses[step][operand], Planar)

    def fill(self, step: int, operand: int) -> int:
        """What a node takes for positions outside an operand, an int8 value."""
        return int(self._accesses[step][operand].fill or 0)

    def pads(self, step: int, operand: int, axis: Axis) -> bool:
        """Whether a node whose `reaches` are known reads positions outside an operand."""
        return (step, operand, axis) in self._padded

    def reaches(self, step: int, axis: Axis) -> Reaches:
        """Per operand of a node what a position of the output reads. Raises NotStreamable."""
        if (step, axis) not in self._reaches:
            try:
                self._reaches[step, axis] = self._find_reaches(step, axis)
            except NotStreamable as error:
                self._reaches[step, axis] = error.again()
        found = self._reaches[step, axis]
        if isinstance(found, NotStreamable):
            raise found.again()
        return found

    def _find_reaches(self, step: int, axis: Axis) -> Reaches:
        node, sig, entire = self.graph.nodes[step], self.sigs[step], self.entire(step)
        if any(name in self._kept for name in (*node.inputs, *node.outputs) if name not in entire):
            raise NotStreamable(f"{node.name} reads or writes a state")
        if self.is_given(step):
            return {}
        if self.sums(step):
            return {0: Reach()}
        undivided = {*self.graph.constants, *entire}
        dynamic = (t for name, t in zip(node.inputs, sig.inputs, strict=True) if name not in undivided)
        if not all(has_rows(t.shape) for t in (*dynamic, *sig.outputs)):
            raise NotStreamable(f"{node.name} isn't spatial")
        if len(sig.output.shape) < AXES[axis] + 3:
            raise NotStreamable(f"{node.name} has no {axis}")
        found, outputs = Reaches(), sig.output.shape[1 + AXES[axis]]
        for operand, (name, access) in enumerate(zip(node.inputs, self._accesses[step], strict=True)):
            if name in entire:
                continue
            reach = access.along(AXES[axis])
            if name in self.graph.constants:
                if reach is not None and reach.stride and outputs > 1:
                    raise NotStreamable(f"{node.name} reads a constant by {axis}")
                continue
            if reach is None or not reach.stride:
                raise NotStreamable(f"{node.name} does not read its operands by {axis}")
            if reach.leaves(outputs, sig.inputs[operand].shape[access.first_axis + AXES[axis]]):
                if access.fill is None or sig.inputs[operand].dtype != INT8:
                    raise NotStreamable(f"{node.name} pads what isn't int8, or with nothing")
                self._padded.add((step, operand, axis))
            found[operand] = reach
        if not found:
            raise NotStreamable(f"{node.name} reads constants only")
        return found


@lru_cache(4)
def geometry_of(graph: Graph, kept: frozenset[str]) -> Geometry:
    """The same for all who look for stages of a graph, with whatever kernels."""
    return Geometry(graph, kept)


class Members:
    """The nodes [first, last) of a graph.

    Attributes:
        beside: the outputs that are needed outside, but for the last node's.

    Raises:
        NotStreamable: a node has several outputs, or sums up rows for others inside.
    """

    def __init__(self, geometry: Geometry, first: int, last: int) -> None:
        self._geometry, self.graph = geometry, geometry.graph
        self.first, self.last = first, last
        self.nodes = self.graph.nodes[first:last]
        self.index = {node.outputs[0]: i for i, node in enumerate(self.nodes)}
        self.beside = self._needed_outside()
        self._check_entire()
        self.sigs = geometry.sigs[first:last]

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def output(self) -> str:
        return self.nodes[-1].outputs[0]

    def sums(self, i: int) -> bool:
        """Whether the output of a node isn't made of rows: it must be the last."""
        return self._geometry.sums(self.first + i)

    def computed(self, i: int) -> tuple[int, int]:
        """(rows, columns) to compute: for sums those that are summed."""
        t = self.sigs[i].input if self.sums(i) else self.sigs[i].output
        if not has_rows(t.shape):
            raise NotStreamable(f"{self.nodes[i].name} isn't spatial")
        return grid(t.shape)

    def reaches(self, axis: Axis) -> list[Reaches]:
        """Per node and operand what a position of the output reads."""
        return [self._geometry.reaches(step, axis) for step in range(self.first, self.last)]

    def is_given(self, i: int) -> bool:
        """Whether the rows of a node come from the caller."""
        return self._geometry.is_given(self.first + i)

    @property
    def are_given(self) -> bool:
        """Whether the caller gives rows of one of them."""
        return any(self.is_given(i) for i in range(len(self)))

    def reads_planes(self, i: int, operand: int) -> bool:
        """Whether a row is one of each of an operand's planes."""
        return self._geometry.reads_planes(self.first + i, operand)

    def pads(self, i: int, operand: int, axis: Axis) -> bool:
        """Whether a node reads positions outside an operand."""
        return self._geometry.pads(self.first + i, operand, axis)

    def fill_of(self, i: int, operand: int) -> int:
        """What a node takes for positions outside an operand."""
        return self._geometry.fill(self.first + i, operand)

    def fill(self, name: str, padded: Iterable[tuple[int, int]]) -> int:
        """What the nodes that read a tensor take for positions outside it.

        Args:
            padded: (node, operand) of those that read such positions.
        """
        fills = {self.fill_of(i, operand) for i, operand in padded}
        if len(fills) > 1:
            raise NotStreamable(f"the readers of {name} pad with different values", final=False)
        return next(iter(fills), 0)

    def readers(self, name: str) -> list[tuple[int, int]]:
        """(node, operand) of every use of a tensor inside."""
        return [(i, operand) for i, node in enumerate(self.nodes) for operand, n in enumerate(node.inputs) if n == name]

    def spans(self, reaches: Sequence[Reaches], output: Span) -> list[Span]:
        """What each node computes in a turn, so that the last one can compute `output`."""
        found: list[Span | None] = [None] * (len(self) - 1) + [output]
        for i in reversed(range(len(self))):
            span = found[i]
            if span is None:
                raise NotStreamable(f"nobody reads {self.nodes[i].outputs[0]}", final=False)
            span = found[i] = span.whole(up_of(reaches[i]))
            for operand, reach in reaches[i].items():
                producer = self.index.get(self.nodes[i].inputs[operand])
                if producer is not None:
                    needed, other = span.read_by(reach), found[producer]
                    found[producer] = needed if other is None else other.joined(needed)
        return [span for span in found if span is not None]

    def part(self, i: int, rows: int, columns: int | None) -> Op:
        """The operator for some rows of its output, and for some columns unless that is None."""
        op = self.nodes[i].op.part(self.sigs[i], (rows, columns)[: len(self.sigs[i].output.shape) - 2])
        if op is None:
            raise NotStreamable(f"{self.nodes[i].name} isn't computed by {'rows' if columns is None else 'patches'}")
        return op

    def site(self, i: int, inputs: dict[int, tuple[int, int]], rows: int, columns: int | None) -> Site:
        """A node for a part of its output; the same part is the same object.

        Args:
            inputs: (rows, columns) of each operand of which it reads a part.
        """
        known, part = self._geometry.sites, (self.first + i, tuple(inputs.items()), rows, columns)
        if part not in known:
            known[part] = self._site(i, inputs, rows, columns)
        return known[part]

    def _site(self, i: int, inputs: Mapping[int, tuple[int, int]], rows: int, columns: int | None) -> Site:
        node, sig, op = self.nodes[i], self.sigs[i], self.part(i, rows, columns)
        types = list(sig.inputs)
        for operand, (height, width) in inputs.items():
            types[operand] = _part_of(node.name, types[operand], height, width)
        output = sig.output
        if not self.sums(i):
            width = grid(output.shape)[1] if columns is None else columns
            output = _part_of(node.name, output, rows, width)
            try:
                fits = op.infer(types) == ((output.shape, output.dtype),)
            except ValueError:  # a constant of the whole height, for one
                fits = False
            if not fits:
                raise NotStreamable(f"{node.name} doesn't yield {rows} rows")
        constants = tuple(self.graph.constants.get(name) for name in node.inputs)
        on_part = Node(node.name, op, node.inputs, node.outputs)
        return Site(on_part, Signature(tuple(types), (output,)), constants)

    def entire(self, i: int) -> tuple[str, ...]:
        """The operands of a node that are read everywhere."""
        return self._geometry.entire(self.first + i)

    def _check_entire(self) -> None:
        for i, node in enumerate(self.nodes):
            if not self.index.keys().isdisjoint(self.entire(i)):
                raise NotStreamable(f"{node.name} reads all of what is made inside")

    def check_nothing_beside(self) -> None:
        """Raises NotStreamable where more than the last node's output is needed outside."""
        for name in self.beside:
            beyond = name in self.graph.results
            raise NotStreamable(f"{name} is needed outside", final=beyond)

    def _needed_outside(self) -> tuple[str, ...]:
        for node in self.nodes:
            if len(node.outputs) != 1:
                raise NotStreamable(f"{node.name} has several outputs")
        inside, found = set(self.nodes), list[str]()
        for i, node in enumerate(self.nodes[:-1]):
            if self.sums(i):
                raise NotStreamable(f"{node.name} sums up all rows")
            readers = self._geometry.consumers.get(node.outputs[0], [])
            if node.outputs[0] in self.graph.results or any(reader not in inside for reader in readers):
                found.append(node.outputs[0])
        return tuple(found)


def _part_of(name: str, t: TensorType, rows: int, columns: int) -> TensorType:
    """Of a tensor, with the halo around it. Raises NotStreamable where windows of windows reach beyond any memory."""
    shape = with_grid(t.shape, rows, columns)
    try:
        bounded(shape, t.dtype.bits, MAX_RAM_BYTES)
    except ImpossibleSizeError as error:
        raise NotStreamable(f"{name}: {error}", final=False) from error
    return replace(t, shape=shape)
