"""`--backend class`: a model without the softmax at its end, which moves no largest score."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import Graph, Node
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax


def without_softmax(graph: Graph, output: int) -> Graph | None:
    """The graph with the scores that a softmax, or log-softmax, at an output is given; None where there is none.

    What is behind it goes, too, where it moves no largest score either: reshapes, DEQUANTIZE and QUANTIZE with one
    scale; and in front of it a DEQUANTIZE. Other outputs stay, and what they need.

    Args:
        output: its number.
    """
    producers, node = graph.producers(), graph.producers().get(graph.outputs[output])
    while node is not None and _keeps_order(graph, node):
        node = producers.get(node.inputs[0])
    if node is None or not _is_softmax(graph, node):
        return None
    source = node.inputs[0]
    before = producers.get(source)
    if before is not None and isinstance(before.op, Dequantize) and _has_one_scale(graph, before.inputs[0]):
        source = before.inputs[0]
    if source in {*graph.given, *graph.results, *graph.constants}:
        return None
    return replace(
        graph, outputs=tuple(source if i == output else name for i, name in enumerate(graph.outputs))
    ).without_dead()


def _is_softmax(graph: Graph, node: Node) -> bool:
    """Over all of a tensor's elements."""
    if not isinstance(node.op, Softmax | LogSoftmax):
        return False
    t = graph.types[node.inputs[0]]
    return t.elements == t.shape[-1] and not (isinstance(node.op, Softmax) and node.op.beta <= 0)


def _keeps_order(graph: Graph, node: Node) -> bool:
    """Whether no element becomes larger than one that was above it, and each stays in its place."""
    if isinstance(node.op, Dequantize):
        return _has_one_scale(graph, node.inputs[0])
    if isinstance(node.op, Quantize):
        return _has_one_scale(graph, node.outputs[0])
    return isinstance(node.op, Reshape)


def _has_one_scale(graph: Graph, name: str) -> bool:
    quant = graph.types[name].quant
    return quant is None or quant.is_per_tensor
