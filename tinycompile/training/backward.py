"""The backward pass, written node by node from the loss to the first trained layer (`ops._training.rule.Tape`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.dtypes import INT8, DType
from tinycompile.ir import Array, Graph, Node, Op, Quantization, Signature, State, TensorType, free_name
from tinycompile.numerics.block_floating import MASTER_FRACTION_BITS, factors
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.masks import ClampMask
from tinycompile.ops._training.parameters import GradientDescent, RoundedWeights
from tinycompile.ops._training.rule import Differentiable, NoGradientError, Parameter
from tinycompile.ops._training.sums import JoinedGradients
from tinycompile.ops.slice import Slice


@dataclass(frozen=True)
class Place:
    """Where a trained operand of a layer comes from.

    Attributes:
        rounding: what makes the forward pass' weights of the state; None for biases, which are read as they are.
        operands: of that.
    """

    parameter: Parameter
    rounding: RoundedWeights | None = None
    operands: tuple[str, ...] = ()


class Backward:
    """A graph that grows.

    Attributes:
        after: what the forward pass keeps for the backward pass, behind the node that makes the value: by that value.
        nodes: of the backward pass, in the order in which they were asked for: a gradient is applied where it exists.
        states: of trained parameters, by name.
    """

    def __init__(self, graph: Graph, places: Mapping[str, Place], learning_rate: str) -> None:
        """`places`: by the operand's name in the forward pass."""
        self.types, self.constants = dict(graph.types), dict(graph.constants)
        self.after: dict[str, list[Node]] = {}
        self.nodes: list[Node] = []
        self.next: dict[str, str] = {}
        self._places, self._rate = places, learning_rate
        self._names = {node.name for node in graph.nodes}
        self._gradients: dict[str, Gradient] = {}
        self._subject = graph.name
        self._selected: dict[tuple[str, int], str] = {}
        self._differences: dict[str, str] = {}
        self._equal: dict[tuple[str, bytes, tuple[int, ...]], str] = {}
        self._made = {name for node in graph.nodes for name in node.outputs}
        self._dependent = dependent(graph, places)

    def signature(self, node: Node) -> Signature:
        return Signature(tuple(self.types[n] for n in node.inputs), tuple(self.types[n] for n in node.outputs))

    def type_of(self, value: str) -> TensorType:
        return self.types[value]

    def wants(self, value: str) -> bool:
        return value in self._dependent

    def parameter(self, value: str) -> Parameter | None:
        return self._places[value].parameter if value in self._places else None

    def weights(self, value: str) -> str:
        """Trained ones are rounded again: the master weights change at the end, so nothing has to be kept."""
        place = self._places.get(value)
        if place is None or place.rounding is None:
            return value
        return self._emit(place.rounding, place.operands, "weights", self.types[value])[0]

    def values_of(self, value: str) -> Array | None:
        return self.constants.get(value)

    def constant(self, values: Array, meaning: str) -> str:
        key = values.dtype.str, values.tobytes(), values.shape
        if key not in self._equal:
            name = self._equal[key] = free_name(meaning, self.types)
            self.types[name] = TensorType(values.shape, DType.of(values.dtype))
            self.constants[name] = values
        return self._equal[key]

    def emit(self, op: Op, *operands: str, meaning: str) -> tuple[str, ...]:
        return self._emit(op, operands, meaning)

    def mask(self, value: str, clamp: tuple[int, int]) -> str:
        return self._keep(ClampMask(clamp), value, "mask")

    def compared(self, node: Node, difference: Op, quant: Quantization, clamp: tuple[int, int]) -> str:
        behind = self.after.setdefault(node.outputs[0], [])
        if node.name not in self._differences:
            made = self._node(difference, node.inputs, "difference", replace(self.types[node.inputs[0]], quant=quant))
            self._differences[node.name] = made.outputs[0]
            behind.append(made)
        mask = self._node(ClampMask(clamp), (self._differences[node.name],), "mask", None)
        behind.append(mask)
        return mask.outputs[0]

    def selected(self, value: str, channels: int) -> str:
        if (value, channels) not in self._selected:
            shape = self.types[value].shape
            op = Slice.of_axis(shape, len(shape) - 1, 0, channels)
            own = self._keep if value not in self._gradient_values() else self._slice
            self._selected[value, channels] = own(op, value, "channels")
        return self._selected[value, channels]

    def add(self, value: str, gradient: Gradient) -> None:
        if not self.wants(value):
            return
        if value in self._gradients:
            operands = (*self._gradients[value], *gradient)
            gradient = Gradient(*self.emit(JoinedGradients(), *operands, meaning="joined"))
        self._gradients[value] = gradient

    def propagate(self, node: Node) -> None:
        """Writes what follows from the gradients of a node's results, once all their readers have added theirs.

        Raises:
            NoGradientError: there is no rule for it.
        """
        self._subject = node.name
        for value in node.outputs:
            gradient = self._gradients.pop(value, None)
            if gradient is None:
                continue
            if not isinstance(node.op, Differentiable):
                raise NoGradientError("there is no gradient rule for this operator")
            if self.types[value].dtype != INT8:
                raise NoGradientError(f"its result is {self.types[value].dtype}, gradients are of int8 values")
            node.op.vjp(self, node, gradient)

    def descend(self, parameter: Parameter, gradient: Gradient, units: Array, axis: int | None) -> None:
        is_bias = len(self.types[parameter.state].shape) == 1
        scale = 1 if is_bias else (1 << MASTER_FRACTION_BITS) / parameter.copies
        mantissas, exponents = factors(np.atleast_1d(units) * scale)
        table = np.stack([mantissas, exponents], axis=-1).astype(np.int32)
        operands = (parameter.state, *gradient, self._rate, self.constant(table, "units"))
        (self.next[parameter.state],) = self.emit(GradientDescent(axis), *operands, meaning="next")

    def _gradient_values(self) -> Collection[str]:
        return {name for node in self.nodes for name in node.outputs}

    def _slice(self, op: Op, value: str, meaning: str) -> str:
        return self.emit(op, value, meaning=meaning)[0]

    def _keep(self, op: Op, value: str, meaning: str) -> str:
        """Behind the node that makes a value, or before all of them."""
        node = self._node(op, (value,), meaning, self.types[value] if isinstance(op, Slice) else None)
        self.after.setdefault(value if value in self._made else "", []).append(node)
        return node.outputs[0]

    def _emit(self, op: Op, operands: tuple[str, ...], meaning: str, like: TensorType | None = None) -> tuple[str, ...]:
        node = self._node(op, operands, meaning, like)
        self.nodes.append(node)
        return node.outputs

    def _node(self, op: Op, operands: tuple[str, ...], meaning: str, like: TensorType | None) -> Node:
        """`like`: whose quantisation the result has."""
        found, suffixes = list[str](), ("", "_exponent", "_loss")
        for suffix, (shape, dtype) in zip(suffixes, op.infer([self.types[name] for name in operands]), strict=False):
            name = free_name(f"{self._subject}/{meaning}{suffix}", self.types)
            self.types[name] = TensorType(shape, dtype, like.quant if like else None)
            found.append(name)
        name = free_name(found[0], self._names)
        self._names.add(name)
        return Node(name, op, operands, tuple(found))


def dependent(graph: Graph, places: Collection[str]) -> set[str]:
    """The values that depend on trained operands."""
    found = set(places)
    for node in graph.nodes:
        if not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found.difference(places)


def states_of(backward: Backward, initial: Mapping[str, Array]) -> tuple[State, ...]:
    """Of the trained parameters whose gradient exists."""
    return tuple(State(name, initial[name], following) for name, following in backward.next.items())
