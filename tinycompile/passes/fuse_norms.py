"""Normalisations of floats that are written out, as older ONNX opsets have them: one operator, and no values between.

    distance = x - mean(x)                                  (or x: the root of the mean square)
    y = distance / sqrt(mean(distance * distance) + epsilon) * factor + summand

over the last axis, with powers, products and reciprocals in the ways that exporters have; factor and summand, an
element for each column, may be missing. In int8 the chain is what rounds, so that nothing else computes the same there;
`quantize` finds these forms in the float model (`quantize/norms.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Graph, Node, TensorType, free_name
from tinycompile.ops.add import Add
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.layer_normalization import LayerNormalization
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.pow import Pow
from tinycompile.ops.rsqrt import Rsqrt
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.sub import Sub

_SQUARE, _ROOT, _INVERSE_ROOT = 2.0, 0.5, -0.5
"""Exponents."""


def fuse_norms(graph: Graph) -> Graph:
    """The graph with `LayerNormalization` in the place of what computes it in float32."""
    if not any(isinstance(node.op, Mean) and graph.types[node.outputs[0]].dtype == FLOAT32 for node in graph.nodes):
        return graph
    reader, found, gone = _Reader(graph), dict[str, _Norm](), set[str]()
    for node in graph.nodes:
        norm = reader.norm(node)
        if norm is not None:
            found[norm.nodes[-1].name] = norm
            gone.update(each.name for each in norm.nodes)
    if not found:
        return graph
    types, constants, nodes = dict(graph.types), dict(graph.constants), list[Node]()
    for node in graph.nodes:
        if node.name in found:
            nodes.append(_operator(node, found[node.name], types, constants))
        elif node.name not in gone:
            nodes.append(node)
    return replace(graph, nodes=tuple(nodes), types=types, constants=constants).without_dead()


def _operator(last: Node, norm: _Norm, types: dict[str, TensorType], constants: dict[str, Array]) -> Node:
    """What takes the place of a chain, with constants of its own."""
    depth, names = types[norm.x].shape[-1], list[str]()
    for part, value in (("factor", norm.factor), ("summand", norm.summand)):
        name = free_name(f"{last.name}/{part}", types)
        default = np.full(depth, float(part == "factor"))
        constants[name] = (default if value is None else value.reshape(-1)).astype(np.float32)
        types[name] = TensorType((depth,), FLOAT32)
        names.append(name)
    return Node(last.name, LayerNormalization(norm.epsilon, norm.centred), (norm.x, *names), last.outputs)


@dataclass(eq=False)
class _Norm:
    """A chain.

    Attributes:
        factor, summand: an element for each column, if there are any. nodes: in no order but for the last one.
    """

    x: str
    centred: bool
    epsilon: float
    nodes: list[Node]
    factor: Array | None = None
    summand: Array | None = None


class _Reader:
    """Walks from results to what they are made of."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._makers = {name: node for node in graph.nodes for name in node.outputs}
        self._readers = graph.consumers()

    def norm(self, node: Node) -> _Norm | None:
        """That ends in this node or in factor and summand behind it, if nothing else reads what is inside."""
        found = self._quotient(node)
        if found is None:
            return None
        self._widen(found)
        inside = {each.name for each in found.nodes}
        names = [name for each in found.nodes[:-1] for name in each.outputs]
        alone = all(reader.name in inside for name in names for reader in self._readers.get(name, ()))
        return found if alone and not set(names).intersection(self._graph.results) else None

    def _quotient(self, node: Node) -> _Norm | None:
        """distance / root, or distance * (1 / root)."""
        if self._graph.types[node.outputs[0]].dtype != FLOAT32 or not isinstance(node.op, Div | Mul):
            return None
        pairs = [node.inputs] if isinstance(node.op, Div) else [node.inputs, node.inputs[::-1]]
        for distance, other in pairs:
            under = self._under_root(other) if isinstance(node.op, Div) else self._under_inverse(other)
            if under is not None:
                return self._powered(distance, *under, node)
        return None

    def _under_inverse(self, name: str) -> tuple[str, list[Node]] | None:
        """(p, nodes) of 1 / sqrt(p)."""
        node = self._makers.get(name)
        if node is None:
            return None
        if isinstance(node.op, Rsqrt) or (isinstance(node.op, Pow) and self._number(node.inputs[1]) == _INVERSE_ROOT):
            return node.inputs[0], [node]
        reciprocal = isinstance(node.op, ElementwiseFunction) and node.op.function == "reciprocal"
        if not reciprocal and not (isinstance(node.op, Div) and self._number(node.inputs[0]) == 1):
            return None
        under = self._under_root(node.inputs[-1])
        return None if under is None else (under[0], [*under[1], node])

    def _under_root(self, name: str) -> tuple[str, list[Node]] | None:
        """(p, nodes) of sqrt(p)."""
        node = self._makers.get(name)
        if node is None:
            return None
        power = isinstance(node.op, Pow) and self._number(node.inputs[1]) == _ROOT
        return (node.inputs[0], [node]) if power or isinstance(node.op, Sqrt) else None

    def _powered(self, distance: str, power: str, nodes: list[Node], last: Node) -> _Norm | None:
        """Of mean(distance * distance) + epsilon."""
        add = self._makers.get(power)
        if add is None or not isinstance(add.op, Add):
            return None
        numbers = [number for name in add.inputs if (number := self._number(name)) is not None]
        mean = next((node for name in add.inputs if (node := self._mean(name)) is not None), None)
        square = None if mean is None else self._makers.get(mean.inputs[0])
        if mean is None or square is None or len(numbers) != 1 or not self._is_square(square, distance):
            return None
        inside = [*nodes, add, mean, square]
        sub = self._makers.get(distance)
        subtracted = self._mean(sub.inputs[1]) if sub is not None and isinstance(sub.op, Sub) else None
        if sub is not None and subtracted is not None and subtracted.inputs[0] == sub.inputs[0]:
            return _Norm(sub.inputs[0], True, numbers[0], [*inside, sub, subtracted, last])
        return _Norm(distance, False, numbers[0], [*inside, last])

    def _is_square(self, node: Node, of: str) -> bool:
        if isinstance(node.op, Pow):
            return node.inputs[0] == of and self._number(node.inputs[1]) == _SQUARE
        return isinstance(node.op, Mul) and node.inputs == (of, of)

    def _mean(self, name: str) -> Node | None:
        """The node that makes the mean over the last axis, which stays."""
        node = self._makers.get(name)
        if node is None or not isinstance(node.op, Mean):
            return None
        last = len(self._graph.types[node.inputs[0]].shape) - 1
        return node if node.op.keep_dims and node.op.axes == (last,) and node.op.rule is None else None

    def _widen(self, norm: _Norm) -> None:
        """By a factor and a summand behind it."""
        for op in (Mul, Add):
            result = norm.nodes[-1].outputs[0]
            readers = self._readers.get(result, [])
            node = readers[0] if len(readers) == 1 and result not in self._graph.results else None
            columns = (
                [value for name in node.inputs if (value := self._columns(norm, name)) is not None] if node else []
            )
            if node is None or not isinstance(node.op, op) or len(columns) != 1:
                continue
            norm.factor, norm.summand = (columns[0], None) if op is Mul else (norm.factor, columns[0])
            norm.nodes.append(node)

    def _columns(self, norm: _Norm, name: str) -> Array | None:
        """A constant with an element for each column."""
        value, shape = self._graph.constants.get(name), self._graph.types[norm.x].shape
        fits = value is not None and value.shape[-1:] == shape[-1:] and value.size == shape[-1]
        return value if fits and value is not None and value.ndim <= len(shape) else None

    def _number(self, name: str) -> float | None:
        value = self._graph.constants.get(name)
        return float(value.reshape(())) if value is not None and value.size == 1 else None
