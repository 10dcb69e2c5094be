"""Gradients of training steps against derivatives of the real functions, on random networks.

The forward derivative along a direction of a parameter, of real numbers and by finite differences, which are exact for
operators that are linear in each operand, must be the product of the integer gradient with that direction.
"""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest

from tests.training.gradients import gradients, real
from tests.training.networks import KINDS, MORE_KINDS, RandomNetwork, with_factors
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.errors import UnsupportedError
from tinycompile.interpreter import run
from tinycompile.ir import Array, Graph, Node, Quantization, Signature, TensorType
from tinycompile.ops import all_ops
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._elementwise import Binary, Unary
from tinycompile.ops._extremum import Extremum
from tinycompile.ops._training.rule import Differentiable
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.pad import Pad
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import training_step

WITHIN = 2.0**-9
"""Of the product of the norms: gradients have 15 bits, and are rounded a few times."""

HANDS_ON = (AveragePool2D, MaxPool2D, Pad, Reshape, Transpose)
"""Hand int8 values on as they are, whatever scales say."""

Values = dict[str, Array]


class Tangents:
    """Forward derivatives of a network of real numbers, at what its int8 form computes of an input."""

    def __init__(self, graph: Graph, values: Values) -> None:
        self.graph, self.values = graph, values
        self.points: Values = {}
        for node in graph.nodes:
            self.points[node.outputs[0]] = real(values[node.outputs[0]], graph.types[node.outputs[0]])
            for index, name in enumerate(node.inputs):
                self.points[name] = self._point(node, index, name)

    def _point(self, node: Node, index: int, name: str) -> Array:
        t, values = self.graph.types[name], self.values[name]
        if index < 2:
            return real(values, t)
        scales = self.graph.types[node.inputs[1]].quant
        assert scales is not None
        return values * self.graph.types[node.inputs[0]].scale * scales.scale.astype(np.float64)

    def along(self, parameter: str, direction: Array) -> Array:
        """The derivative of the output."""
        found: Values = {parameter: direction}
        for node in self.graph.nodes:
            if any(name in found for name in node.inputs):
                found[node.outputs[0]] = self._passed(node, self._derivative(node, found))
        return found[self.graph.outputs[0]]

    def _derivative(self, node: Node, tangents: Values) -> Array:
        moved = [tangents.get(name, np.zeros(self.points[name].shape)) for name in node.inputs]
        if isinstance(node.op, Relu | Quantize):
            return moved[0]
        if isinstance(node.op, Unary):
            sig = self.graph.signature(node)
            return moved[0] * node.op.slopes(sig)[self.values[node.inputs[0]].view(np.uint8)]
        if isinstance(node.op, HANDS_ON):
            moved = [moved[0] * self.graph.types[node.outputs[0]].scale / self.graph.types[node.inputs[0]].scale]
        if isinstance(node.op, Extremum):
            chosen = [self._value(node, i) == self.values[node.outputs[0]] for i in range(2)]
            if self.graph.constants.keys().isdisjoint(node.inputs):
                a, b = (self.points[name] for name in node.inputs)  # the first of equals
                return np.where(a >= b if node.op.keeps_larger else a <= b, *np.broadcast_arrays(*moved))
            return sum(np.where(own & ~chosen[1 - i], moved[i], 0) for i, own in enumerate(chosen))
        if isinstance(node.op, MaxPool2D):
            return self._of_largest(node, node.op, moved[0])
        points = [self.points[name] for name in node.inputs]
        ahead, behind = (
            self._floats(node, [p + sign * m for p, m in zip(points, moved, strict=True)]) for sign in (1, -1)
        )
        return (ahead - behind) / 2

    def _value(self, node: Node, operand: int) -> Array:
        name = node.inputs[operand]
        return self.values[name] if name in self.values else self.graph.constants[name]

    def _floats(self, node: Node, inputs: list[Array]) -> Array:
        op = node.op
        known = {f.name for f in fields(op)}  # type: ignore[arg-type]
        plain = {"clamp": (-128, 127), "value": 0.0}
        op = replace(op, **{name: value for name, value in plain.items() if name in known})  # type: ignore[type-var]
        sig = Signature(
            tuple(TensorType(x.shape, FLOAT32) for x in inputs),
            (TensorType(self.graph.types[node.outputs[0]].shape, FLOAT32),),
        )
        return op.evaluate(sig, [x.astype(np.float32) for x in inputs])[0].astype(np.float64)

    def _of_largest(self, node: Node, op: MaxPool2D, moved: Array) -> Array:
        x, shape = self.values[node.inputs[0]], self.graph.types[node.outputs[0]].shape
        found = np.zeros(shape)
        for _, i, j, c in np.ndindex(shape):
            top, left = i * op.stride[0] - op.padding[0], j * op.stride[1] - op.padding[2]
            places = [
                (y, z)
                for y in range(max(top, 0), min(top + op.kernel[0], x.shape[1]))
                for z in range(max(left, 0), min(left + op.kernel[1], x.shape[2]))
            ]
            y, z = max(places, key=lambda place: x[0, *place, c])  # the first of equals
            found[0, i, j, c] = moved[0, y, z, c]
        return found

    def _passed(self, node: Node, tangent: Array) -> Array:
        """Nothing where an operator that computes clamped its result."""
        computes = isinstance(node.op, Convolution | FullyConnected | Binary | Relu | Mean | Quantize)
        if not computes or (isinstance(node.op, Extremum) and node.op.rule == "tflite"):
            return tangent
        low, high = (-128, 127) if isinstance(node.op, Mean | Quantize) else node.op.clamp
        y = self.values[node.outputs[0]]
        return np.where((y > low) & (y < high), tangent, 0)


def _grown(seed: int) -> tuple[Graph, Array]:
    network = RandomNetwork(seed)
    return network.grow(6, KINDS if seed % 3 else KINDS + 3 * MORE_KINDS), network.sample


def _chained(seed: int) -> tuple[Graph, Array]:
    network = RandomNetwork(seed)
    return network.chain(
        ("at_least", "taken", "every_second", "convolution", "at_most", "requantise", "squared")
    ), network.sample


def _of_two(seed: int) -> tuple[Graph, Array]:
    network = RandomNetwork(seed)
    return network.chain(("larger", "convolution", "smaller", "depthwise", "larger_of_scales")), network.sample


NETWORKS = [*map(_grown, range(11)), _chained(11), _of_two(12)]


@pytest.mark.parametrize("form", [None, with_factors])
@pytest.mark.parametrize("seed", range(len(NETWORKS)))
def test_products_with_directions(seed, form):
    (graph, sample), rng = NETWORKS[seed], np.random.default_rng(seed)
    own = graph if form is None else form(graph)
    first, found = gradients(own, sample)
    tangents = Tangents(graph, run(own, [sample]))
    assert {node.inputs[1] for node in layers_of(graph)} <= found.keys()
    for parameter, gradient in found.items():
        direction = rng.normal(size=gradient.shape)
        forward = float((first * tangents.along(parameter, direction)).sum())
        norms = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert abs(forward - float((gradient * direction).sum())) <= WITHIN * norms, parameter


@pytest.mark.parametrize("op", [Maximum(rule="onnx"), Minimum(rule="onnx")])
@pytest.mark.parametrize("number", [-128, -7, 40, 127])
def test_numbers_of_other_scales_are_compared_as_real_ones(op, number):
    own, other = (TensorType((1,), INT8, Quantization.per_tensor(s, z)) for s, z in ((0.1, 3), (0.035, -20)))
    low, high = op._passing(Signature((own, other), (own,)), 0, number)
    x = np.arange(-128, 128)
    bound = (number - other.zero_point) * Fraction(other.scale)
    reals = [Fraction(own.scale) * int(value - own.zero_point) for value in x]
    beyond = [real > bound if op.keeps_larger else real < bound for real in reals]
    assert ((x > low) & (x < high)).tolist() == beyond


def test_bytes_of_two_tensors_with_other_scales_are_no_numbers():
    network = RandomNetwork(1)
    x = network.convolution("input")
    network.node(Maximum(), network.node(Mean((1, 2), keep_dims=True), x), x, like=x)
    with pytest.raises(UnsupportedError, match="its operands have other scales"):
        training_step(network.graph(), read_scheme("all", network.graph()), "squared_error")


def test_networks_have_every_rule():
    """Else the test above says less than it seems to."""
    kinds = {type(node.op) for graph, _ in NETWORKS for node in graph.nodes}
    all_ops()  # loads them
    functions = {op for op in _subclasses(Unary) if op.vjp is Unary.vjp}
    rules = {op for op in _subclasses(Differentiable) if "kind" in vars(op)}
    assert not rules - functions - kinds
    assert len(functions & kinds) > 2


def _subclasses(base: type) -> set[type[Differentiable]]:
    return {base, *(found for own in base.__subclasses__() for found in _subclasses(own))}
