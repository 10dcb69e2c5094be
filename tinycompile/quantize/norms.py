"""Normalisations that are written out, as one operator: it is rounded once, where each step of the chain would be.

    distance = x - ReduceMean(x)                                       (or x: the root of the mean square)
    y = distance / Sqrt(ReduceMean(distance^2) + epsilon) * factor + summand

with powers, products and reciprocals in any of the ways that exporters have, and Keras' order:

    gain = 1 / Sqrt(...) * factor        y = x * gain + (summand - mean * gain)

Means are over the last axes. Several of them, as in instance and group normalisation, are reshaped to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.ops._arithmetic.normalisation import MAX_DEPTH
from tinycompile.quantize.float_graph import FloatGraph, attributes_of
from tinycompile.quantize.newer_opset import can_be_raised, raise_opset

_OPSETS = {"LayerNormalization": 17, "RMSNormalization": 23}
"""From which ONNX has them."""
_SQUARE, _ROOT, _INVERSE_ROOT = 2.0, 0.5, -0.5
"""Exponents of Pow."""


def spell_norms(graph: FloatGraph) -> None:
    """The graph with `LayerNormalization` and `RMSNormalization` in the place of what computes them."""
    if not can_be_raised(graph):
        return
    newest = 0
    for last in list(graph.nodes):
        if not any(node is last for node in graph.nodes):
            continue
        found = _Reader(graph).norm(last)
        if found is not None:
            _replace(graph, found)
            newest = max(newest, _OPSETS[found.kind])
    raise_opset(graph, newest)


class _OtherFormError(Exception):
    """An operator isn't where the forms have it."""


@dataclass
class _Norm:
    """What was found.

    Attributes:
        x: what is normalised. first: of the axes that means are over; all behind it are. centred: whether the mean is
            subtracted.
        factor, summand: for each element of those axes, if they have any.
        nodes: the chain, the last one computes the result.
    """

    x: str
    shape: tuple[int, ...]
    first: int
    centred: bool
    epsilon: float
    nodes: list[Any]
    factor: Array | None = None
    summand: Array | None = None

    @property
    def kind(self) -> str:
        return "LayerNormalization" if self.centred else "RMSNormalization"

    @property
    def depth(self) -> int:
        return prod(self.shape[self.first :])

    def columns(self, value: Array) -> Array | None:
        """A constant with an element for each of a row; None if it is something else."""
        own = self.shape[self.first :]
        wide = value.ndim >= len(own) and value.shape[value.ndim - len(own) :] == own and value.size == self.depth
        return value.reshape(-1) if wide and self.depth > 1 else None


@dataclass
class _Reader:
    """Walks from results to what they are made of, and takes the nodes on the way."""

    graph: FloatGraph
    taken: list[Any] = field(default_factory=list[Any])

    def __post_init__(self) -> None:
        self.producers: Mapping[str, Any] = self.graph.producers()

    def norm(self, last: Any) -> _Norm | None:
        """That ends in this node, or in what reads it; None if there is none."""
        for read in (self._divided, self._gained):
            self.taken = []
            try:
                found = read(last)
            except _OtherFormError:
                continue
            if found.depth > MAX_DEPTH:
                continue
            self._widen(found)
            if self._is_closed(found):
                return found
        return None

    def _divided(self, last: Any) -> _Norm:
        """distance / root, or distance * (1 / root)."""
        if last.op_type == "Div":
            distance, root = last.input
            power = self._under_root(root)
        elif last.op_type == "Mul":
            distance, power = self._times_inverse(last)
        else:
            raise _OtherFormError
        self.taken.append(last)
        return self._of(distance, power)

    def _gained(self, last: Any) -> _Norm:
        """x * gain + (summand - mean * gain)."""
        sides = [self._made(name, "Mul") for name in last.input] if last.op_type == "Add" else []
        product = next((node for node in sides if node is not None), None)
        if product is None:
            raise _OtherFormError
        rest = self._take(last.input[1 - sides.index(product)], "Sub")
        scaled_mean = self._take(rest.input[1], "Mul")
        gain = next((name for name in product.input if name in scaled_mean.input), "")
        if not gain or rest.input[0] not in self.graph.constants:
            raise _OtherFormError
        x, mean = (_other(node, gain) for node in (product, scaled_mean))
        self.taken += [last, product]
        factor, inverse = None, gain
        maker = self._made(gain, "Mul")
        if maker is not None and any(name in self.graph.constants for name in maker.input):
            constant = next(name for name in maker.input if name in self.graph.constants)
            factor, inverse = self.graph.constants[constant], _other(maker, constant)
            self.taken.append(maker)
        squares, epsilon = self._inverse(inverse)
        found = self._of_squares(squares, epsilon)
        if not found.centred or found.x != x or not self._is_mean(mean, found):
            raise _OtherFormError
        summand = found.columns(self.graph.constants[rest.input[0]])
        columns = None if factor is None else found.columns(factor)
        if summand is None or (factor is not None and columns is None):
            raise _OtherFormError
        found.factor, found.summand = columns, summand
        return found

    def _of(self, distance: str, power: tuple[str, float]) -> _Norm:
        found = self._of_squares(*power)
        if found.centred and distance != found.x:
            sub = self._take(distance, "Sub")
            if sub.input[0] == found.x and self._is_mean(sub.input[1], found):
                return found
        elif not found.centred and distance == found.x:
            return found
        raise _OtherFormError

    def _of_squares(self, mean: str, epsilon: float) -> _Norm:
        """Of the mean of squares: a norm without factors."""
        average = self._take(mean, "ReduceMean")
        operand = self._squared(average.input[0])
        shape = self.graph.shapes.get(operand)
        first = self._first_axis(average, shape)
        sub = self._made(operand, "Sub")
        if shape is None or first is None:
            raise _OtherFormError
        found = _Norm(operand, shape, first, False, epsilon, self.taken)
        if sub is not None:
            centred = _Norm(sub.input[0], shape, first, True, epsilon, self.taken)
            if self._is_mean(sub.input[1], centred):
                self.taken.append(sub)
                return centred
        return found

    def _squared(self, name: str) -> str:
        for kind in ("Mul", "Pow"):
            node = self._made(name, kind)
            if node is None:
                continue
            if kind == "Mul" and node.input[0] != node.input[1]:
                break
            if kind == "Pow" and self._number(node.input[1]) != _SQUARE:
                break
            self.taken.append(node)
            return node.input[0]
        raise _OtherFormError

    def _is_mean(self, name: str, norm: _Norm) -> bool:
        node = self._made(name, "ReduceMean")
        if node is None or node.input[0] != norm.x or self._first_axis(node, norm.shape) != norm.first:
            return False
        self.taken.append(node)
        return True

    def _first_axis(self, node: Any, shape: Sequence[int] | None) -> int | None:
        """From which on all axes are reduced, and stay with size 1; the batch isn't among them."""
        attributes = attributes_of(node)
        axes = attributes.get("axes")
        if axes is None and len(node.input) > 1:
            axes = self.graph.constants.get(node.input[1])
        if shape is None or axes is None or not attributes.get("keepdims", 1):
            return None
        places = sorted({int(axis) % len(shape) for axis in axes})
        last = bool(places) and places[0] > 0 and places == list(range(places[0], len(shape)))
        return places[0] if last else None

    def _times_inverse(self, node: Any) -> tuple[str, tuple[str, float]]:
        """(distance, (mean of squares, epsilon)) of a product."""
        for index in (1, 0):
            before = list(self.taken)
            try:
                return node.input[1 - index], self._inverse(node.input[index])
            except _OtherFormError:
                self.taken = before
        raise _OtherFormError

    def _inverse(self, name: str) -> tuple[str, float]:
        """(mean of squares, epsilon) of 1 / Sqrt(mean + epsilon)."""
        power = self._made(name, "Pow")
        if power is not None and self._number(power.input[1]) == _INVERSE_ROOT:
            self.taken.append(power)
            return self._plus(power.input[0])
        reciprocal, quotient = self._made(name, "Reciprocal"), self._made(name, "Div")
        if reciprocal is not None:
            self.taken.append(reciprocal)
            return self._under_root(reciprocal.input[0])
        if quotient is not None and self._number(quotient.input[0]) == 1:
            self.taken.append(quotient)
            return self._under_root(quotient.input[1])
        raise _OtherFormError

    def _under_root(self, name: str) -> tuple[str, float]:
        root, power = self._made(name, "Sqrt"), self._made(name, "Pow")
        node = root or power
        if node is None or (root is None and self._number(node.input[1]) != _ROOT):
            raise _OtherFormError
        self.taken.append(node)
        return self._plus(node.input[0])

    def _plus(self, name: str) -> tuple[str, float]:
        add = self._take(name, "Add")
        for index in range(2):
            epsilon = self._number(add.input[index])
            if epsilon is not None and epsilon >= 0:
                return add.input[1 - index], epsilon
        raise _OtherFormError

    def _widen(self, norm: _Norm) -> None:
        """The factor and the summand behind it, as far as nothing else reads what is in front of them."""
        kinds = ("Mul", "Add") if norm.centred else ("Mul",)  # RMSNormalization has no summand
        for kind in kinds if norm.summand is None else ():
            last = self._last(norm)
            reader = self.graph.only_consumer(last.output[0])
            if reader is None or reader.op_type != kind:
                continue
            constant = self.graph.constants.get(_other(reader, last.output[0]))
            columns = None if constant is None else norm.columns(constant)
            if columns is None or self.graph.shapes.get(reader.output[0], norm.shape) != norm.shape:
                continue
            if kind == "Mul":
                norm.factor = columns
            else:
                norm.summand = columns
            norm.nodes.append(reader)

    def _last(self, norm: _Norm) -> Any:
        """The node of which no other one reads the result."""
        read = {name for node in norm.nodes for name in node.input}
        (last,) = (node for node in norm.nodes if node.output[0] not in read)
        return last

    def _is_closed(self, norm: _Norm) -> bool:
        """Whether nothing else reads what is inside; then the last node is put at the end."""
        last = self._last(norm)
        unique = [node for i, node in enumerate(norm.nodes) if not any(node is each for each in norm.nodes[:i])]
        norm.nodes = [*(node for node in unique if node is not last), last]
        for node in norm.nodes[:-1]:
            readers = self.graph.consumers(node.output[0])
            inside = all(any(reader is each for each in norm.nodes) for reader in readers)
            if not inside or node.output[0] in self.graph.outputs:
                return False
        return True

    def _made(self, name: str, kind: str) -> Any | None:
        node = self.producers.get(name)
        return node if node is not None and node.op_type == kind else None

    def _take(self, name: str, kind: str) -> Any:
        node = self._made(name, kind)
        if node is None:
            raise _OtherFormError
        self.taken.append(node)
        return node

    def _number(self, name: str) -> float | None:
        value = self.graph.constants.get(name)
        return float(value.reshape(())) if value is not None and value.size == 1 else None


def _other(node: Any, name: str) -> str:
    """The other one of two operands."""
    if len(node.input) != 2 or list(node.input).count(name) != 1:
        return ""
    return node.input[1] if node.input[0] == name else node.input[0]


def _replace(graph: FloatGraph, norm: _Norm) -> None:
    """The operator in the last node's place, of rows along one axis."""
    make, last = onnx_module().helper.make_node, norm.nodes[-1]
    result, one = last.output[0], norm.first == len(norm.shape) - 1
    factor = np.ones(norm.depth) if norm.factor is None else norm.factor
    operands = [graph.constant(f"{result}_factor", factor.astype(np.float32))]
    if norm.summand is not None:
        operands.append(graph.constant(f"{result}_summand", norm.summand.astype(np.float32)))
    rows, normalised = (norm.x, result) if one else (f"{result}_rows", f"{result}_normalised")
    nodes = [make(norm.kind, [rows, *operands], [normalised], last.name, axis=-1, epsilon=norm.epsilon)]
    if not one:
        shape = (*norm.shape[: norm.first], norm.depth)
        graph.shapes = {**graph.shapes, rows: shape, normalised: shape}
        # The first axis is what is left, so that it may be that of several samples.
        wanted = [
            graph.constant(f"{n}_shape", np.array((-1, *s[1:]), np.int64))
            for n, s in ((rows, shape), (result, norm.shape))
        ]
        nodes = [
            make("Reshape", [norm.x, wanted[0]], [rows], f"{rows}_node"),
            *nodes,
            make("Reshape", [normalised, wanted[1]], [result], f"{result}_node"),
        ]
    at = next(i for i, node in enumerate(graph.nodes) if node is last)
    graph.nodes[at : at + 1] = nodes
    graph.nodes = [node for node in graph.nodes if not any(node is gone for gone in norm.nodes)]
