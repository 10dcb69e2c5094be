"""Graphs in the making, and their nodes as one, which a kernel for several computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.support.kernel_checks import int8
from tinycompile.dtypes import BOOL, INT8
from tinycompile.ir import Array, Graph, Node, Op, Quantization, Site, TensorType
from tinycompile.kernels.cover import fused, matches


@dataclass
class Nodes:
    """A graph in the making."""

    types: dict[str, TensorType] = field(default_factory=dict[str, TensorType])
    constants: dict[str, Array] = field(default_factory=dict[str, Array])
    nodes: list[Node] = field(default_factory=list[Node])

    def given(self, name: str, shape: Sequence[int], scale: float, zero_point: int) -> str:
        self.types[name] = int8(shape, scale, zero_point)
        return name

    def constant(self, name: str, values: Array, scale: float | None = None, zero_point: int = 0) -> str:
        """Truth values, or int8 with a scale."""
        self.constants[name] = values
        quant = None if scale is None else Quantization.per_tensor(scale, zero_point)
        self.types[name] = TensorType(values.shape, BOOL if quant is None else INT8, quant)
        return name

    def scalar(self, name: str, value: int, scale: float) -> str:
        self.constants[name] = np.array(value, np.int8)
        return self.given(name, (), scale, -128)

    def vector(self, name: str, values: Sequence[int], scale: float, zero_point: int) -> str:
        self.constants[name] = np.array(values, np.int8).reshape(1, 1, -1)
        return self.given(name, self.constants[name].shape, scale, zero_point)

    def add(self, name: str, op: Op, inputs: Sequence[str], like: TensorType | None = None) -> str:
        """`like`: has the result's quantisation; None for the first operand's."""
        ((shape, dtype),) = op.infer([self.types[operand] for operand in inputs])
        self.types[name] = TensorType(shape, dtype, (like or self.types[inputs[0]]).quant)
        self.nodes.append(Node(name, op, tuple(inputs), (name,)))
        return name

    @property
    def graph(self) -> Graph:
        inputs = tuple(n for n in self.types if n not in self.constants and all(n not in x.outputs for x in self.nodes))
        return Graph("g", inputs, self.nodes[-1].outputs, tuple(self.nodes), self.types, self.constants)


def site_of(graph: Graph) -> Site:
    """All of its nodes as one."""
    node = fused(graph.nodes, graph.types)
    if node.name not in {found.name for _, found in matches(graph)}:
        raise AssertionError("no pattern has these nodes")
    return graph.site(node)
