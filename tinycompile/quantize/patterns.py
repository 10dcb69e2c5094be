"""Several nodes that are one function: quantised as one, they are rounded once. litert-torch writes PReLU and the hard
sigmoid so. What a layer and a clamp can do is these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, attributes_of, output_axis, scale_layer


def simplified(graph: FloatGraph) -> FloatGraph:
    """The graph with those that it has; it computes the same."""
    graph = graph.copy()
    for node in list(graph.nodes):
        _prelu(graph, node)
        _scaled_clamp(graph, node)
        _hard_sigmoid(graph, node)
    return graph


def _prelu(graph: FloatGraph, node: Any) -> None:
    """relu(x) - slope * relu(-x), a PRelu."""
    if node.op_type != "Sub":
        return
    producers = graph.producers()
    positive, negative = (producers.get(name) for name in node.input)
    if positive is None or negative is None or positive.op_type != "Relu" or negative.op_type != "Mul":
        return
    x = positive.input[0]
    rectified, slope = _with_constant(graph, negative)
    relu = producers.get(rectified)
    if slope is None or relu is None or relu.op_type != "Relu":
        return
    minus = producers.get(relu.input[0])
    if minus is None or not _is_negation(graph, minus, x):
        return
    chain = [positive, negative, relu, minus]
    if any(graph.only_consumer(each.output[0]) is None for each in chain):
        return
    name = graph.constant(f"{node.output[0]}_slope", slope.reshape(1) if slope.ndim == 0 else slope)
    _replace(graph, node, "PRelu", [x, name])
    graph.nodes = [each for each in graph.nodes if not any(each is gone for gone in chain)]


def _replace(graph: FloatGraph, node: Any, kind: str, inputs: Sequence[str], **attributes: float) -> None:
    """Another operator computes the node's result."""
    at = next(i for i, each in enumerate(graph.nodes) if each is node)
    make = onnx_module().helper.make_node
    graph.nodes[at] = make(kind, list(inputs), list(node.output), name=node.name, **attributes)


def _is_negation(graph: FloatGraph, node: Any, x: str) -> bool:
    if node.op_type == "Neg":
        return node.input[0] == x
    value, factor = _with_constant(graph, node) if node.op_type == "Mul" else ("", None)
    return value == x and factor is not None and factor.size == 1 and float(factor.reshape(())) == -1


def _with_constant(graph: FloatGraph, node: Any) -> tuple[str, Array | None]:
    """(the operand that is computed, the constant one) of a node with two; None where it has no such."""
    known = [graph.constants.get(name) for name in node.input]
    if len(known) != 2 or (known[0] is None) == (known[1] is None):
        return "", None
    return (node.input[0], known[1]) if known[0] is None else (node.input[1], known[0])


def _scaled_clamp(graph: FloatGraph, node: Any) -> None:
    """A layer, a clamp, and a positive factor: the factor goes into layer and limits."""
    value, factor = _with_constant(graph, node) if node.op_type == "Mul" else ("", None)
    clamp = graph.producers().get(value)
    if factor is None or factor.size != 1 or not float(factor.reshape(())) > 0 or clamp is None:
        return
    if clamp.op_type not in ("Relu", "Clip") or graph.only_consumer(value) is not node:
        return
    limits = [name for name in clamp.input[1:] if name]
    layer = graph.producers().get(clamp.input[0])
    if layer is None or layer.op_type not in LINEAR or graph.only_consumer(clamp.input[0]) is not clamp:
        return
    if any(name not in graph.constants for name in limits):
        return
    weights = graph.constants.get(layer.input[1])
    if weights is None:
        return
    channels, slope = int(weights.shape[output_axis(layer)]), float(factor.reshape(()))
    if not scale_layer(graph, layer, np.full(channels, slope), np.zeros(channels)):
        return
    for index, name in enumerate(clamp.input):
        if name and index > 0:
            scaled = (graph.constants[name] * factor.reshape(())).astype(np.float32)
            clamp.input[index] = graph.constant(f"{name}_scaled", scaled)
    clamp.output[0] = node.output[0]
    graph.nodes = [each for each in graph.nodes if each is not node]


def _hard_sigmoid(graph: FloatGraph, node: Any) -> None:
    """A layer and HardSigmoid: slope and offset go into the layer, so that it is rounded once, to what is clamped."""
    if node.op_type != "HardSigmoid":
        return
    layer = graph.producers().get(node.input[0])
    if layer is None or layer.op_type not in LINEAR or graph.only_consumer(node.input[0]) is not node:
        return
    weights, attributes = graph.constants.get(layer.input[1]), attributes_of(node)
    if weights is None:
        return
    channels = int(weights.shape[output_axis(layer)])
    scale, shift = (np.full(channels, attributes.get(*each)) for each in (("alpha", 0.2), ("beta", 0.5)))
    if scale_layer(graph, layer, scale, shift):
        ends = [graph.constant(f"{node.output[0]}_end", np.array(end, np.float32)) for end in (0, 1)]
        _replace(graph, node, "Clip", [node.input[0], *ends])
