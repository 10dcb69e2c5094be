"""Which channels of a network's values may be scaled together, exactly: by moving factors from weights to weights.

Every element of a value carries the number of a group. Functions with f(s x) = s f(x) and data movement hand numbers
on, sums join the groups that they add, and linear layers end them: their output channels are new groups. A group is
free where layers with constant weights make it and read it, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_evaluate import evaluate_node
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, attributes_of, output_axis
from tinycompile.quantize.qdq import linear_layers, not_floats

_SAME = frozenset("Relu LeakyRelu Abs Neg Identity Dropout".split())
"""f(s x) = s f(x) for s > 0, element by element."""
_WITHIN = frozenset("MaxPool AveragePool GlobalAveragePool GlobalMaxPool ReduceMean ReduceMax ReduceMin".split())
"""The same over windows: where all elements of a window have one number, as pixels of a channel."""
_MOVES = frozenset(
    "Transpose Reshape Flatten Squeeze Unsqueeze Slice Split Concat DepthToSpace SpaceToDepth Gather".split()
)
_SUMS = frozenset("Add Sub".split())


@dataclass(frozen=True, eq=False)
class Groups:
    """Numbers of groups.

    Attributes:
        count: of all groups, free or not.
        free: bool (count,).
        of: int64 by value, of that value's shape for a batch of 1; values with unknown shapes are missing.
    """

    count: int
    free: Array
    of: Mapping[str, Array]

    def by_channel(self, name: str) -> Array | None:
        """int64 (channels,) of a value whose other axes have the same numbers; None for others."""
        found = self.of.get(name)
        return None if found is None or found.ndim < _LEAST_AXES else _along(found, channel_axis(found))

    def by_column(self, name: str) -> Array | None:
        """The same along the last axis."""
        found = self.of.get(name)
        return None if found is None or found.ndim < _LEAST_AXES else _along(found, found.ndim - 1)


_LEAST_AXES = 2


def _along(numbers: Array, axis: int) -> Array | None:
    """Those along an axis, if they don't depend on the others."""
    rows = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1)
    return rows[:, 0] if rows.size and bool(np.all(rows == rows[:, :1])) else None


def channel_axis(value: Array) -> int:
    """Of what layers read and make: axis 1 of images and rows over time, the last one of rows."""
    return 1 if value.ndim > 2 else value.ndim - 1


def groups_of(graph: FloatGraph) -> Groups:
    """The groups of a prepared graph."""
    return _Grouping(graph).run()


class _Grouping:
    def __init__(self, graph: FloatGraph) -> None:
        self.graph = graph
        self.parents = list[int]()
        self.fixed = set[int]()
        self.of = dict[str, Array]()
        self.others = not_floats(graph)
        self.layers = {node.output[0] for node in linear_layers(graph) if can_scale(graph, node)}
        self.norms = {node.output[0] for node in norms_of(graph)}

    def run(self) -> Groups:
        for name in self.graph.inputs:
            self._fix(self._new(name))
        for node in self.graph.nodes:
            self._node(node)
        for name in self.graph.outputs:
            self._fix(self.of.get(name))
        roots = np.array([self._find(i) for i in range(len(self.parents))], np.int64)
        free = np.ones(len(roots), bool)
        free[[int(roots[i]) for i in self.fixed]] = False
        return Groups(len(roots), free[roots], {name: roots[numbers] for name, numbers in self.of.items()})

    def _node(self, node: Any) -> None:
        operands = [self.of.get(name) for name in node.input if name and name not in self.graph.constants]
        if node.output[0] in self.layers:
            self._layer(node)
        elif node.output[0] in self.norms:
            self._norm(node)
        elif any(operand is None for operand in operands) or not operands or not self._passed_on(node):
            for operand in operands:
                self._fix(operand)
            for name in node.output:
                self._fix(self._new(name))

    def _passed_on(self, node: Any) -> bool:
        """Whether a node hands numbers on."""
        graph = self.graph
        first = self.of.get(node.input[0])
        if node.op_type in _SAME or (node.op_type == "PRelu" and node.input[1] in graph.constants):
            if first is None:
                return False
            self.of[node.output[0]] = first
            return True
        if node.op_type in _SUMS:
            return self._sum(node)
        known = {name: graph.constants.get(name, self.of.get(name)) for name in node.input if name}
        moved = node.op_type in _MOVES and all(
            name not in self.others if name in self.of else graph.constants[name].dtype.kind != "f" for name in known
        )
        if first is None or not (moved or node.op_type in _WITHIN):
            return False
        return self._moved(node, known) if moved else self._within(node, first)

    def _sum(self, node: Any) -> bool:
        a, b = (self.of.get(name) for name in node.input)
        if a is None or b is None or a.shape != b.shape:
            return False
        for one, other in np.unique(np.stack([a.ravel(), b.ravel()], axis=1), axis=0):
            self.parents[self._find(int(one))] = self._find(int(other))
        self.of[node.output[0]] = a
        return True

    def _moved(self, node: Any, operands: Mapping[str, Array | None]) -> bool:
        known = {name: value for name, value in operands.items() if value is not None}
        try:
            results = evaluate_node(node, known, self.graph.opset)
        except Rejected:
            return False
        self.of.update(zip(node.output, (np.asarray(r, np.int64) for r in results), strict=True))
        return True

    def _within(self, node: Any, numbers: Array) -> bool:
        """Pools: a channel's pixels have one number."""
        shape = self.graph.shapes.get(node.output[0])
        if shape is None or numbers.ndim < 2 or len(shape) < 2:
            return False
        rows = numbers.reshape(*numbers.shape[:2], -1)
        if shape[:2] != numbers.shape[:2] or not bool(np.all(rows == rows[..., :1])) or len(node.output) > 1:
            return False
        self.of[node.output[0]] = np.broadcast_to(rows[..., 0].reshape(*shape[:2], *(1,) * (len(shape) - 2)), shape)
        return True

    def _layer(self, layer: Any) -> None:
        """Its operand's channels have one number each, else they are fixed."""
        operand, result = self.of.get(layer.input[0]), layer.output[0]
        if operand is not None and Groups(0, np.zeros(0), {"x": operand}).by_channel("x") is None:
            self._fix(operand)
        shape = self.graph.shapes.get(result)
        if shape is None:
            return
        axis = 1 if len(shape) > 2 and layer.op_type != "MatMul" else len(shape) - 1
        numbers = self._numbers(shape[axis])
        self.of[result] = np.broadcast_to(numbers.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)

    def _norm(self, norm: Any) -> None:
        """Its columns are new groups, whose factors its own ones take."""
        for name in norm.input:
            self._fix(self.of.get(name))
        shape = self.graph.shapes[norm.output[0]]
        self.of[norm.output[0]] = np.broadcast_to(self._numbers(shape[-1]), shape)

    def _numbers(self, count: int) -> Array:
        first = len(self.parents)
        self.parents += range(first, first + count)
        return np.arange(first, first + count)

    def _new(self, name: str) -> Array | None:
        """One number for all of a value."""
        shape = self.graph.shapes.get(name)
        if shape is None:
            return None
        self.of[name] = np.broadcast_to(self._numbers(1), shape)
        return self.of[name]

    def _fix(self, numbers: Array | None) -> None:
        if numbers is not None:
            self.fixed.update(int(each) for each in np.unique(numbers))

    def _find(self, number: int) -> int:
        while self.parents[number] != number:
            self.parents[number] = number = self.parents[self.parents[number]]
        return number


def norms_of(graph: FloatGraph) -> list[Any]:
    """LayerNormalization and RMSNormalization of rows whose factors and summands are constants, and products with a
    row of constants, by which normalisations end that are written out, as PyTorch writes RMSNorm before opset 23.
    """
    return [
        node
        for node in graph.nodes
        if len(graph.shapes.get(node.output[0], ())) >= _LEAST_AXES
        and (_is_norm(graph, node) or _is_product_with_a_row(graph, node))
    ]


def _is_norm(graph: FloatGraph, node: Any) -> bool:
    rows = (graph.constants.get(name, np.zeros((0, 0))) for name in node.input[1:] if name)
    return node.op_type in ("LayerNormalization", "RMSNormalization") and all(row.ndim == 1 for row in rows)


def _is_product_with_a_row(graph: FloatGraph, node: Any) -> bool:
    rows = [graph.constants[name] for name in node.input if name in graph.constants]
    if node.op_type != "Mul" or len(rows) != 1 or rows[0].dtype != np.float32:
        return False
    shape = graph.shapes[node.output[0]]
    return rows[0].shape[-1:] == shape[-1:] and rows[0].size == shape[-1] > 1 and rows[0].ndim <= len(shape)


def can_scale(graph: FloatGraph, layer: Any) -> bool:
    """Whether channels of a linear layer's operand and result can be scaled by its weights and bias."""
    names = [name for name in layer.input[1:] if name]
    if layer.op_type not in LINEAR or any(graph.constants.get(n, np.zeros(0)).dtype != np.float32 for n in names):
        return False
    attributes, weights = attributes_of(layer), graph.constants[layer.input[1]]
    if layer.op_type == "ConvTranspose" and attributes.get("group", 1) != 1:
        return False
    channels = weights.shape[output_axis(layer)]
    return not attributes.get("transA", 0) and (len(names) < 2 or graph.constants[names[1]].size in (1, channels))


def operand_peaks(graph: FloatGraph, layer: Any) -> Array:
    """float64 (channels of the operand,): the largest weight that each is multiplied with."""
    weights = np.abs(graph.constants[layer.input[1]]).astype(np.float64)
    if layer.op_type != "Conv":
        return weights.max(axis=tuple(i for i in range(weights.ndim) if i != 1 - output_axis(layer)))
    groups = attributes_of(layer).get("group", 1)
    rows = weights.reshape(groups, -1, *weights.shape[1:])
    return rows.max(axis=(1, *range(3, rows.ndim))).reshape(-1)


def changes(graph: FloatGraph, layer: Any, before: Array, after: Array) -> Iterator[tuple[int, Array]]:
    """(index of the operand, what it is multiplied with) for an operand and a result whose channels were divided.

    Args:
        before: (channels of the operand,), what those were divided by; or (1,) for all.
        after: the same of the result.
    """
    weights = graph.constants[layer.input[1]]
    axis = output_axis(layer)
    if layer.op_type == "Conv":
        groups = attributes_of(layer).get("group", 1)
        before = np.broadcast_to(before, (groups * weights.shape[1],))
        columns = np.repeat(before.reshape(groups, -1), weights.shape[0] // groups, axis=0)
        factors = columns.reshape(weights.shape[0], weights.shape[1], *(1,) * (weights.ndim - 2))
        yield 1, factors / after.reshape(-1, *(1,) * (weights.ndim - 1))
    else:
        shaped = [[-1 if i == at else 1 for i in range(weights.ndim)] for at in (1 - axis, axis)]
        yield 1, before.reshape(shaped[0]) / after.reshape(shaped[1])
    if len(layer.input) > 2 and layer.input[2]:
        yield 2, 1 / after


def scale_groups(graph: FloatGraph, groups: Groups, factors: Array) -> None:
    """Change the weights of all layers for values whose channels were divided.

    Args:
        factors: (groups,), what each was divided by; 1 of those that aren't free.
    """
    ones = np.ones(1)
    for norm in norms_of(graph):
        columns = groups.by_column(norm.output[0])
        if columns is not None:
            _replace(
                graph,
                norm,
                [(operand, 1 / factors[columns]) for operand, name in enumerate(norm.input) if name in graph.constants],
            )
    for layer in linear_layers(graph):
        if can_scale(graph, layer):
            before, after = (groups.by_channel(name) for name in (layer.input[0], layer.output[0]))
            _scale(graph, layer, ones if before is None else factors[before], ones if after is None else factors[after])


def _scale(graph: FloatGraph, layer: Any, before: Array, after: Array) -> None:
    _replace(graph, layer, changes(graph, layer, before, after))


def _replace(graph: FloatGraph, node: Any, factors: Iterable[tuple[int, Array]]) -> None:
    """Constant operands times factors."""
    with np.errstate(over="ignore"):
        found = [
            (operand, (graph.constants[node.input[operand]] * factor).astype(np.float32)) for operand, factor in factors
        ]
    for operand, value in found:
        if not np.array_equal(value, graph.constants[node.input[operand]]):
            stem = node.input[operand].removesuffix("_equalised")
            node.input[operand] = graph.constant(f"{stem}_equalised", value)
