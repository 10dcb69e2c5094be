"""PAD in front of a convolution or a maximum becomes that one's own padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Graph, Node, TensorType
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.pad import Pad

LOWEST = float(np.finfo(np.float32).min)


def fold_pad(graph: Graph) -> Graph:
    """Every convolution or maximum that reads a PAD of rows and columns reads the PAD's input instead.

    Exact where the fill is the zero point, or a float 0, which is what a convolution's padding reads; where it is the
    least number, which is no maximum but among its like. A PAD that nobody else reads is then dead.
    """
    producers = graph.producers()
    nodes = tuple(_folded(graph, node, producers) for node in graph.nodes)
    return graph if nodes == graph.nodes else replace(graph, nodes=nodes).without_dead()


def _folded(graph: Graph, node: Node, producers: dict[str, Node]) -> Node:
    if not isinstance(node.op, Conv2D | DepthwiseConv2D | MaxPool2D):
        return node
    pad = producers.get(node.inputs[0])
    if pad is None or not isinstance(pad.op, Pad) or not _is_spatial(graph, pad, pad.op):
        return node
    (_, (top, bottom), (left, right), _) = pad.op.amounts
    own = node.op.padding
    padding = (own[0] + top, own[1] + bottom, own[2] + left, own[3] + right)
    x = graph.types[pad.inputs[0]]
    if isinstance(node.op, MaxPool2D):
        rows, columns = node.op.slid.extent
        if not _is_least(x, pad.op.value) or max(padding[:2]) >= rows or max(padding[2:]) >= columns:
            return node
    elif not _is_zero(x, pad.op.value):
        return node
    folded = replace(node, op=replace(node.op, padding=padding), inputs=(pad.inputs[0], *node.inputs[1:]))
    return node if folded.op.unsupported(graph.signature(folded)) else folded


def _is_spatial(graph: Graph, pad: Node, op: Pad) -> bool:
    """Whether it pads rows and columns alone, with values that mean the same on both sides."""
    x, y = graph.types[pad.inputs[0]], graph.types[pad.outputs[0]]
    same = x.dtype == FLOAT32 if x.quant is None else x.quant.same_as(y.quant)
    return same and len(op.amounts) == 4 and op.amounts[0] == op.amounts[3] == (0, 0)


def _is_zero(x: TensorType, value: float) -> bool:
    return value == (0 if x.quant is None else x.zero_point)


def _is_least(x: TensorType, value: float) -> bool:
    return value <= LOWEST if x.dtype == FLOAT32 else value == x.dtype.range[0]
