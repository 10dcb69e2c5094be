"""Which nodes are scaled dot-product attention, and how queries, keys, values and results lie in memory.

    softmax(f(query . key)) . value

for every matrix of a batch, such as the heads, with a function f of one value: the scale, which the framework may have
as an operator of its own. Where a constant mask of queries and keys is added, or chooses, there are several functions,
and the mask says which one is whose. Files transpose what is multiplied, and the result; here that's where vectors are
read and written. Where tokens are pruned, the columns of the probabilities are added up: a second result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Protocol

import numpy as np

from tinycompile.ir import Array, Node, Signature, Site
from tinycompile.kernels.cover import Pattern, Uses, parts_of
from tinycompile.kernels.fused_table import FUNCTION, function_of
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.spatial_sum import SpatialSum
from tinycompile.ops.transpose import Transpose

LOOPS = 3
"""Of the batch, in the C."""
MOST_FUNCTIONS = 4
"""That a mask chooses among; most masks have two values."""


class _Neighbours(Protocol):
    """Who makes what the nodes of a pattern read."""

    def made(self, name: str, reader: Node) -> Node | None:
        """The node that makes a value, which a node alone reads."""
        ...

    def weighed(self, name: str, reader: Node) -> tuple[Node | None, tuple[Node, ...]]:
        """The same, where others may add up the value's columns, and the nodes that do."""
        ...


Made = Callable[[str, Node], Node | None]
"""`_Neighbours.made`"""


@dataclass(frozen=True, eq=False)
class Roles:
    """The nodes by what they do; moves and functions in the order of execution.

    Attributes:
        scores: the product of queries and keys. shares: the product of probabilities and values.
        query, key, value: moves in front of the products.
        function: what becomes of scores before the softmax. between: moves behind it.
        sums: of the columns of probabilities, behind a move perhaps; none where nobody wants to know.
        output: moves of the result.
    """

    query: tuple[Node, ...]
    key: tuple[Node, ...]
    scores: Node
    function: tuple[Node, ...]
    softmax: Node
    between: tuple[Node, ...]
    sums: tuple[Node, ...]
    value: tuple[Node, ...]
    shares: Node
    output: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        products = (*self.query, *self.key, self.scores, *self.function, self.softmax)
        return (*products, *self.between, *self.sums, *self.value, self.shares, *self.output)


def roles(last: Node, neighbours: _Neighbours) -> Roles | None:
    """Of the nodes of which this is the last one."""
    made = neighbours.made
    output, shares = _back(last, made) if isinstance(last.op, Transpose) else ((), last)
    if shares is None or not isinstance(shares.op, BatchMatMul):
        return None
    between, sums, softmax = _probabilities(shares, neighbours)
    if softmax is None or not isinstance(softmax.op, Softmax):
        return None
    function, scores = list[Node](), made(softmax.inputs[0], softmax)
    while scores is not None and not isinstance(scores.op, BatchMatMul):
        if not isinstance(scores.op, Reshape) and not FUNCTION.fits([scores]):
            return None
        function.insert(0, scores)
        before = [node for name in scores.inputs if (node := made(name, scores)) is not None]
        scores = before[0] if len(before) == 1 else None
    if scores is None:
        return None
    query, key = (_moves(scores.inputs[operand], scores, made) for operand in (0, 1))
    value = _moves(shares.inputs[1], shares, made)
    return Roles(query, key, scores, tuple(function), softmax, between, sums, value, shares, output)


def _probabilities(shares: Node, neighbours: _Neighbours) -> tuple[tuple[Node, ...], tuple[Node, ...], Node | None]:
    """(moves that make the last product's probabilities, sums of their columns, the node that makes them)."""
    moves, (node, sums) = list[Node](), neighbours.weighed(shares.inputs[0], shares)
    while node is not None and isinstance(node.op, Reshape | Transpose):
        moves.insert(0, node)
        node, more = neighbours.weighed(node.inputs[0], node)
        sums = (*sums, *more)
    return tuple(moves), sums, node


def _back(last: Node, made: Made) -> tuple[tuple[Node, ...], Node | None]:
    """Moves that end in a node, and the node before them."""
    moves, node = _before(last.inputs[0], last, made)
    return (*moves, last), node


def _before(name: str, reader: Node, made: Made) -> tuple[tuple[Node, ...], Node | None]:
    """Moves that make a value for a node, and the node before them."""
    moves = list[Node]()
    node = made(name, reader)
    while node is not None and isinstance(node.op, Reshape | Transpose):
        moves.insert(0, node)
        node = made(node.inputs[0], node)
    return tuple(moves), node


def _moves(name: str, reader: Node, made: Made) -> tuple[Node, ...]:
    """From the first transposition on: what is reshaped before is the operand's memory already."""
    moves, _ = _before(name, reader, made)
    first = next((i for i, node in enumerate(moves) if isinstance(node.op, Transpose)), len(moves))
    return moves[first:]


class AttentionPattern(Pattern):
    """The nodes follow each other, so that the matrix of scores needn't exist."""

    gathers: ClassVar[bool] = True

    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        neighbours = _InGraph(uses, last)
        found = roles(uses.graph.nodes[last], neighbours)
        if found is not None:
            yield tuple(sorted(neighbours.steps[id(node)] for node in found.nodes))

    def fits(self, nodes: Sequence[Node]) -> bool:
        return _roles_among(nodes) is not None


class _InGraph:
    """The nodes of a graph.

    Attributes:
        steps: by the `id` of each node that was asked for.
    """

    def __init__(self, uses: Uses, last: int) -> None:
        self._uses, self._last = uses, last
        self.steps = {id(uses.graph.nodes[last]): last}

    def made(self, name: str, reader: Node) -> Node | None:
        return self._found(self._uses.made_for(name, self.steps[id(reader)]))

    def weighed(self, name: str, reader: Node) -> tuple[Node | None, tuple[Node, ...]]:
        step = self.steps[id(reader)]
        others = [other for other in self._uses.readers(name) if other != step]
        sums = self._sums(others[0]) if len(others) == 1 else ()
        return self._found(self._uses.made_for(name, step, *others[: len(sums)])), sums

    def _sums(self, step: int) -> tuple[Node, ...]:
        """From a node on, if they add up columns, and all others can wait until the whole pattern is computed."""
        node = self._uses.graph.nodes[step]
        (result,) = node.outputs[:1]
        readers = self._uses.readers(result)
        if isinstance(node.op, SpatialSum):
            waiting = all(reader > self._last for reader in readers) and step < self._last
            return (self._known(step),) if waiting and not node.op.adds else ()
        if isinstance(node.op, Reshape) and len(readers) == 1:
            (reader,) = readers
            rest = self._sums(reader) if self._uses.made_for(result, reader) == step else ()
            return (self._known(step), *rest) if rest else ()
        return ()

    def _found(self, step: int | None) -> Node | None:
        return None if step is None else self._known(step)

    def _known(self, step: int) -> Node:
        node = self._uses.graph.nodes[step]
        self.steps[id(node)] = step
        return node


class _Among:
    """Some nodes, in any order that they can be executed in."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._makers = {name: node for node in nodes for name in node.outputs}
        self._readers: dict[str, list[Node]] = {}
        for node in nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)

    def made(self, name: str, reader: Node) -> Node | None:
        return self._makers.get(name)

    def weighed(self, name: str, reader: Node) -> tuple[Node | None, tuple[Node, ...]]:
        others = (node for node in self._readers[name] if node is not reader)
        return self._makers.get(name), next((sums for node in others if (sums := self._sums(node))), ())

    def _sums(self, node: Node) -> tuple[Node, ...]:
        if isinstance(node.op, SpatialSum):
            return (node,)
        behind = self._readers.get(node.outputs[0], []) if isinstance(node.op, Reshape) else []
        rest = self._sums(behind[0]) if behind else ()
        return (node, *rest) if rest else ()


def _roles_among(nodes: Sequence[Node]) -> Roles | None:
    """If these are all of the nodes."""
    found = roles(nodes[-1], _Among(nodes))
    return found if found is not None and set(found.nodes) == set(nodes) else None


@dataclass(frozen=True)
class Vectors:
    """Where the elements of an operand's vectors are.

    Attributes:
        operand: of the fused node; None for the result.
        batch: strides of the loops over matrices, outermost first.
        count: vectors of a matrix.
        stride: from a vector to the next. along: from an element to the next.
        depth: elements.
    """

    operand: int | None
    batch: tuple[int, ...]
    count: int
    stride: int
    along: int
    depth: int


@dataclass(frozen=True, eq=False)
class Attention:
    """What a kernel needs to know.

    Attributes:
        batch: sizes of the loops over matrices, of which there are `LOOPS`.
        query, key: whose products are scores. value: what a column of the last product reads. output: rows.
        scores, softmax, shares: the parts.
        functions: int8 (n, 256), entries by a score's byte; None where scores are what the softmax reads.
        mask: uint8 (queries, keys), which function a score has; None if there is one.
        sums: whether the columns of the probabilities of all matrices are added up, int32: the second result.
    """

    batch: tuple[int, ...]
    query: Vectors
    key: Vectors
    value: Vectors
    output: Vectors
    scores: Site
    softmax: Site
    shares: Site
    functions: Array | None
    mask: Array | None
    sums: bool

    @property
    def in_place(self) -> bool:
        """Whether every row of the result is where its query was."""
        a, b = self.query, self.output
        return (a.batch, a.count, a.stride, a.along, a.depth) == (b.batch, b.count, b.stride, b.along, b.depth)


def attention_of(site: Site) -> Attention | None:
    """Of a fused node; None where its vectors lie in no order that the C knows, or the function isn't of one."""
    parts = {part.node: part for part in parts_of(site)}
    found = _roles_among(list(parts))
    if found is None:
        return None
    scores, softmax, shares = parts[found.scores], parts[found.softmax], parts[found.shares]
    keys = softmax.sig.input.shape[-1]
    moves = [parts[node].sig.output.shape[-1] for node in (found.scores, *found.function, *found.between)]
    if any(depth != keys for depth in moves) or not all(isinstance(node.op, Reshape) for node in found.between):
        return None
    if any(parts[node].sig.input.shape[-1] != keys for node in found.sums):
        return None
    steps = [parts[node] for node in found.function if not isinstance(node.op, Reshape)]
    masks = _masks(steps, scores.sig.output.shape[-2:])
    vectors = _vectors(site, found, parts)
    if masks is None or vectors is None or (site.latitude is not None and masks.values.shape[1]):
        return None
    functions = [_function(steps, picked, scores.sig.output.elements) for picked in masks.values]
    known = [each for each in functions if each is not None]
    if len(known) < len(functions):
        return None
    batch, query, key, value, output = vectors
    # Where constants can be replaced without the code, another scale may change scores.
    identity = site.latitude is None and len(known) == 1 and np.array_equal(known[0], INT8_VALUES)
    mask = masks.of_score if len(known) > 1 else None
    tables = None if identity else np.stack(known)
    return Attention(batch, query, key, value, output, scores, softmax, shares, tables, mask, bool(found.sums))


@dataclass(frozen=True, eq=False)
class _Masks:
    """The constants with an element for each score, of all steps.

    Attributes:
        values: (combinations, constants). of_score: uint8 (queries, keys), which combination a score has.
    """

    values: Array
    of_score: Array


def _masks(steps: Sequence[Site], shape: tuple[int, ...]) -> _Masks | None:
    """None where they differ from matrix to matrix, or have many values.

    Args:
        shape: queries and keys.
    """
    columns = list[Array]()
    for step in steps:
        for constant in step.constants:
            if constant is None or constant.size == 1:
                continue
            if step.sig.output.shape[-2:] != shape:
                return None
            matrices = np.broadcast_to(constant, step.sig.output.shape).reshape(-1, prod(shape))
            if not np.all(matrices == matrices[:1]):
                return None
            columns.append(matrices[0])
    if not columns:
        return _Masks(np.zeros((1, 0)), np.zeros(shape, np.uint8))
    values, numbers = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    if len(values) > MOST_FUNCTIONS:
        return None
    return _Masks(values, numbers.reshape(shape).astype(np.uint8))


def _function(steps: Sequence[Site], masks: Array, elements: int) -> Array | None:
    """The entries by a score's byte.

    Args:
        masks: the value of each constant that has an element for each score.
    """
    entries, left = INT8_VALUES, iter(masks)
    for step in steps:
        constants = tuple(
            constant if constant is None or constant.size == 1 else np.array(next(left), constant.dtype)
            for constant in step.constants
        )
        found = function_of(replace(step, constants=constants))
        if found is None or step.sig.output.elements != elements or step.sig.output.dtype.ctype != "int8_t":
            return None
        entries = found[1][entries.view(np.uint8)]
    return entries


_Layout = tuple[tuple[int, ...], Vectors, Vectors, Vectors, Vectors]


def _vectors(site: Site, found: Roles, parts: Mapping[Node, Site]) -> _Layout | None:
    """(batch, query, key, value, output)."""
    first, second = found.scores.op, found.shares.op
    if not isinstance(first, BatchMatMul) or not isinstance(second, BatchMatMul) or second.adj_x:
        return None
    q = _places(found.query, parts, parts[found.scores].sig, 0)
    k = _places(found.key, parts, parts[found.scores].sig, 1)
    v = _places(found.value, parts, parts[found.shares].sig, 1)
    y = _result_places(found.output, parts, parts[found.shares].sig)
    rows = parts[found.scores].sig.output.shape[:-1], parts[found.shares].sig.inputs[0].shape[:-1]
    if rows[0][-1] != rows[1][-1]:
        return None
    places = [
        _renumbered(q.swapaxes(-1, -2) if first.adj_x else q, rows[0][:-1], rows[1][:-1]),
        _renumbered(k if first.adj_y else k.swapaxes(-1, -2), rows[0][:-1], rows[1][:-1]),
        v if second.adj_y else v.swapaxes(-1, -2),
        y,
    ]
    batch = y.shape[:-2]
    axes = [axis for axis, size in enumerate(batch) if size > 1]
    if len(axes) > LOOPS:
        return None
    names = [
        _source(nodes, parts[product], operand)
        for nodes, product, operand in (
            (found.query, found.scores, 0),
            (found.key, found.scores, 1),
            (found.value, found.shares, 1),
        )
    ]
    layout = list[Vectors]()
    for each, name in zip(places, (*names, None), strict=True):
        strides = _strides(np.broadcast_to(each, (*batch, *each.shape[-2:])))
        if strides is None:
            return None
        matrices = (*(0 for _ in range(LOOPS - len(axes))), *(strides[axis] for axis in axes))
        operand = None if name is None else site.node.inputs.index(name)
        layout.append(Vectors(operand, matrices, each.shape[-2], strides[-2], strides[-1], each.shape[-1]))
    sizes = (*(1 for _ in range(LOOPS - len(axes))), *(batch[axis] for axis in axes))
    query, key, value, output = layout
    return sizes, query, key, value, output


def _renumbered(places: Array, batch: tuple[int, ...], new: tuple[int, ...]) -> Array:
    """An operand's vectors for every matrix of scores, by the matrix of probabilities that it becomes.

    Args:
        batch: of the scores. new: of the probabilities; as many matrices, but reshapes may have split or merged axes.
    """
    return np.broadcast_to(places, (*batch, *places.shape[-2:])).reshape(*new, *places.shape[-2:])


def _source(moves: Sequence[Node], reader: Site, operand: int) -> str:
    """The value that a product's operand is made of."""
    return moves[0].inputs[0] if moves else reader.node.inputs[operand]


def _places(moves: Sequence[Node], parts: Mapping[Node, Site], product: Signature, operand: int) -> Array:
    """Per element of a product's operand, where it is in the memory of what the moves read."""
    source = parts[moves[0]].sig.input if moves else product.inputs[operand]
    return _moved(np.arange(source.elements).reshape(source.shape), moves, parts)


def _result_places(moves: Sequence[Node], parts: Mapping[Node, Site], product: Signature) -> Array:
    """Per element of the last product, where it is in the result."""
    made = product.output
    origin = _moved(np.arange(made.elements).reshape(made.shape), moves, parts)
    places = np.empty(made.elements, np.int64)
    places[origin.ravel()] = np.arange(made.elements)
    return places.reshape(made.shape)


def _moved(places: Array, moves: Sequence[Node], parts: Mapping[Node, Site]) -> Array:
    for node in moves:
        (places,) = node.op.evaluate(parts[node].sig, [places])
    return places


def _strides(places: Array) -> tuple[int, ...] | None:
    """From one position to the next along each axis, if that is the same everywhere; 0 where an axis has only one."""
    corner = (0,) * places.ndim
    steps = [(*corner[:axis], min(size - 1, 1), *corner[axis + 1 :]) for axis, size in enumerate(places.shape)]
    strides = tuple(int(places[step]) for step in steps)
    return strides if np.array_equal(places, np.tensordot(strides, np.indices(places.shape), 1)) else None
