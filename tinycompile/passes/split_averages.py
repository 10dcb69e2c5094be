"""Splits global averages into a sum, which takes rows one after the other, and what is done with it.

Needed where the layer before is executed row by row: the averaged tensor then never exists.
"""

from __future__ import annotations

from dataclasses import replace

from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Graph, Node, Signature, TensorType
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mean_of_sum import MeanOfSum
from tinycompile.ops.spatial_sum import SpatialSum


def split_averages(graph: Graph) -> Graph:
    """The graph with every global average in two nodes."""
    nodes, types = list[Node](), dict(graph.types)
    for node in graph.nodes:
        sig = graph.signature(node)
        if not isinstance(node.op, (AveragePool2D, Mean)) or not is_global(node.op, sig):
            nodes.append(node)
            continue
        sums = _unused(f"{node.name}/sum", types)
        types[sums] = TensorType((1, 1, 1, sig.input.shape[3]), INT32)
        nodes.append(Node(sums, SpatialSum(), node.inputs, (sums,)))
        nodes.append(Node(node.name, MeanOfSum(node.op, sig.input), (sums,), node.outputs))
    return replace(graph, nodes=tuple(nodes), types=types)


def is_global(op: AveragePool2D | Mean, sig: Signature) -> bool:
    """Whether it averages all rows and columns of an int8 image."""
    shape = sig.input.shape
    if sig.input.dtype != INT8 or len(shape) != 4 or shape[0] != 1 or shape[1] * shape[2] >= 2**23:
        return False
    if isinstance(op, Mean):
        return op.axes == (1, 2)
    return op.kernel == shape[1:3] and not any(op.padding)


def _unused(name: str, types: dict[str, TensorType]) -> str:
    while name in types:
        name += "'"
    return name
