"""LayerNormalization, InstanceNormalization and GroupNormalization in operators that have 8-bit forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.quantize.float_graph import FloatGraph, attributes_of

_AXES_ARE_OPERANDS = 18
"""The opset from which ReduceMean takes its axes as an operand."""
_SCALES_OF_CHANNELS = 21
"""The opset from which GroupNormalization has a scale for each channel; before it has one for each group."""


def spell_normalisations(graph: FloatGraph) -> None:
    """Replace those whose scale and bias are constant by means, differences, products and a table for 1 / deviation."""
    found = list[Any]()
    for node in graph.nodes:
        shape = graph.shapes.get(node.input[0]) if node.input else None
        known = all(name in graph.constants for name in node.input[1:] if name)
        if node.op_type not in _SPELLINGS or shape is None or not known or any(node.output[1:]):
            found.append(node)
            continue
        spelling = _Spelling(graph, node, shape)
        _SPELLINGS[node.op_type](spelling)
        found += spelling.nodes
    graph.nodes = found


@dataclass
class _Spelling:
    """The nodes that a normalisation becomes."""

    graph: FloatGraph
    node: Any
    shape: tuple[int, ...]
    nodes: list[Any] = field(default_factory=list[Any])

    def operand(self, index: int) -> Array | None:
        names = self.node.input
        return self.graph.constants[names[index]] if len(names) > index and names[index] else None

    def constant(self, stem: str, value: Array) -> str:
        return self.graph.constant(f"{self.node.output[0]}_{stem}", value)

    def emit(self, kind: str, operands: Sequence[str], stem: str, shape: tuple[int, ...], **attributes: object) -> str:
        """A node; the name of its result. No stem: it is the normalisation's."""
        name = f"{self.node.output[0]}_{stem}" if stem else str(self.node.output[0])
        self.nodes.append(onnx_module().helper.make_node(kind, list(operands), [name], f"{name}_node", **attributes))
        self.graph.shapes = {**self.graph.shapes, name: shape}
        return name

    def mean(self, x: str, axes: Sequence[int], shape: tuple[int, ...], stem: str) -> str:
        if self.graph.opset >= _AXES_ARE_OPERANDS:
            return self.emit("ReduceMean", [x, self.constant(f"{stem}_axes", np.array(axes, np.int64))], stem, shape)
        return self.emit("ReduceMean", [x], stem, shape, axes=list(axes))

    def normalised(self, x: str, shape: tuple[int, ...], axes: Sequence[int], stem: str) -> str:
        """(x - mean) / sqrt(variance + epsilon)."""
        means = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        epsilon = self.constant("epsilon", np.array(attributes_of(self.node).get("epsilon", 1e-5), np.float32))
        centred = self.emit("Sub", [x, self.mean(x, axes, means, "mean")], "centred", shape)
        squared = self.emit("Mul", [centred, centred], "squared", shape)
        variance = self.mean(squared, axes, means, "variance")
        deviation = self.emit("Sqrt", [self.emit("Add", [variance, epsilon], "raised", means)], "deviation", means)
        inverse = self.emit("Reciprocal", [deviation], "inverse", means)
        return self.emit("Mul", [centred, inverse], stem, shape)

    def scaled(self, x: str, scale: Array | None, bias: Array | None) -> None:
        """The end: times scale, plus bias."""
        if scale is not None:
            x = self.emit("Mul", [x, self.constant("scale", scale)], "" if bias is None else "scaled", self.shape)
        if bias is not None:
            self.emit("Add", [x, self.constant("bias", bias)], "", self.shape)


def _layer(spelling: _Spelling) -> None:
    rank = len(spelling.shape)
    first = attributes_of(spelling.node).get("axis", -1) % rank
    x = spelling.normalised(spelling.node.input[0], spelling.shape, range(first, rank), "normalised")
    spelling.scaled(x, spelling.operand(1), spelling.operand(2))


def _per_channel(spelling: _Spelling, values: Array | None) -> Array | None:
    return None if values is None else values.reshape(-1, *(1,) * (len(spelling.shape) - 2))


def _instance(spelling: _Spelling) -> None:
    axes = range(2, len(spelling.shape))
    x = spelling.normalised(spelling.node.input[0], spelling.shape, axes, "normalised")
    spelling.scaled(x, *(_per_channel(spelling, spelling.operand(index)) for index in (1, 2)))


def _group(spelling: _Spelling) -> None:
    groups, channels = int(attributes_of(spelling.node)["num_groups"]), spelling.shape[1]
    rows = (spelling.shape[0], groups, prod(spelling.shape[1:]) // groups)
    shape = spelling.constant("rows", np.array(rows, np.int64))
    x = spelling.emit("Reshape", [spelling.node.input[0], shape], "grouped", rows)
    x = spelling.normalised(x, rows, (2,), "normalised")
    shape = spelling.constant("shape", np.array(spelling.shape, np.int64))
    x = spelling.emit("Reshape", [x, shape], "ungrouped", spelling.shape)
    values = (spelling.operand(1), spelling.operand(2))
    if spelling.graph.opset < _SCALES_OF_CHANNELS:
        values = tuple(None if value is None else np.repeat(value, channels // groups) for value in values)
    spelling.scaled(x, *(_per_channel(spelling, value) for value in values))


_SPELLINGS = {"LayerNormalization": _layer, "InstanceNormalization": _instance, "GroupNormalization": _group}
"""By operator."""
