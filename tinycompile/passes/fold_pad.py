"""PAD in front of a convolution becomes the convolution's own padding."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Graph, Node
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.pad import Pad


def fold_pad(graph: Graph) -> Graph:
    """Every convolution that reads a PAD of rows and columns reads the PAD's input instead.

    Exact where the fill is the zero point, or a float 0, which is what a convolution's padding reads. A PAD that nobody
    else reads is then dead.
    """
    producers = graph.producers()
    nodes = tuple(_folded(graph, node, producers) for node in graph.nodes)
    return graph if nodes == graph.nodes else replace(graph, nodes=nodes).without_dead()


def _folded(graph: Graph, node: Node, producers: dict[str, Node]) -> Node:
    if not isinstance(node.op, Conv2D | DepthwiseConv2D):
        return node
    pad = producers.get(node.inputs[0])
    if pad is None or not isinstance(pad.op, Pad) or not _is_foldable(graph, pad):
        return node
    (_, (top, bottom), (left, right), _) = pad.op.amounts
    own = node.op.padding
    padding = (own[0] + top, own[1] + bottom, own[2] + left, own[3] + right)
    return replace(node, op=replace(node.op, padding=padding), inputs=(pad.inputs[0], *node.inputs[1:]))


def _is_foldable(graph: Graph, pad: Node) -> bool:
    x, y = graph.types[pad.inputs[0]], graph.types[pad.outputs[0]]
    if not isinstance(pad.op, Pad) or len(pad.op.amounts) != 4:
        return False
    if pad.op.amounts[0] != (0, 0) or pad.op.amounts[3] != (0, 0):
        return False
    if x.quant is None:
        return x.dtype == FLOAT32 and pad.op.value == 0
    return x.quant.same_as(y.quant) and pad.op.value == x.zero_point
