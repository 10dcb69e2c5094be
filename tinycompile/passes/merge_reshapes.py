"""A reshape of a reshape reads what the first one reads."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import Graph, Node
from tinycompile.ops.reshape import Reshape


def merge_reshapes(graph: Graph) -> Graph:
    """Every reshape of a reshape reads the first one's operand; one that nobody else reads is dead then.

    Exact: a reshape keeps elements and their order, whatever scales its types have. Exporters write several behind
    a pool (ONNX's Squeeze of channels-first images, laid out again), and passes that follow channels see one.
    """
    producers = graph.producers()
    nodes = tuple(_merged(node, producers) for node in graph.nodes)
    return graph if nodes == graph.nodes else replace(graph, nodes=nodes).without_dead()


def _merged(node: Node, producers: dict[str, Node]) -> Node:
    if not isinstance(node.op, Reshape):
        return node
    source = node.inputs[0]
    while (before := producers.get(source)) is not None and isinstance(before.op, Reshape):
        source = before.inputs[0]
    return node if source == node.inputs[0] else replace(node, inputs=(source, *node.inputs[1:]))
