"""Factors and summands per channel, moved into the linear layers before or behind them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, attributes_of, depthwise, output_axis, scale_layer
from tinycompile.quantize.streams import into_summands


def fold_affine(graph: FloatGraph) -> None:
    """BatchNormalization, and Mul, Add, Sub and Div by a constant per channel, become part of a linear layer.

    Of the one before them, or of the one behind where that is exact. A BatchNormalization without one, or the first of
    several such nodes, goes into the summands of a sum before it, or becomes a depthwise convolution of one tap.
    """
    while any(_folded(graph, node) for node in graph.nodes):
        pass


def _folded(graph: FloatGraph, node: Any) -> bool:
    """Whether a node was replaced."""
    affine = _affine_of(graph, node)
    if affine is None:
        return False
    source, scale, shift = affine
    layer, reader = graph.producers().get(source), graph.only_consumer(node.output[0])
    if layer is not None and layer.op_type in LINEAR and graph.only_consumer(source) is node:
        if scale_layer(graph, layer, scale, shift):
            layer.output[0] = node.output[0]
            graph.nodes.remove(node)
            return True
        return False
    if reader is not None and _into_reader(graph, reader, node.output[0], scale, shift):
        reader.input[0] = source
        graph.nodes.remove(node)
        return True
    rank = len(graph.shapes.get(source, ()))
    several = reader is not None and np.ptp(scale) + np.ptp(shift) > 0 and _affine_of(graph, reader) is not None
    if rank > 2 and (node.op_type == "BatchNormalization" or several):
        if not into_summands(graph, node, scale, shift):
            layer = depthwise(graph, node.input[0], node.output[0], scale, shift)
            graph.nodes[next(i for i, n in enumerate(graph.nodes) if n is node)] = layer
        return True
    return False


def _into_reader(graph: FloatGraph, layer: Any, name: str, scale: Array, shift: Array) -> bool:
    """Multiply the columns of a layer's weights instead of its operand's channels; False where that isn't exact.

    What a convolution pads with isn't shifted, so that a shift needs one without padding.
    """
    weights, attributes = graph.constants.get(layer.input[1] if len(layer.input) > 1 else ""), attributes_of(layer)
    if weights is None or layer.op_type not in ("Conv", "Gemm") or layer.input[0] != name:
        return False
    bias = graph.constants.get(layer.input[2]) if len(layer.input) > 2 and layer.input[2] else np.zeros(1)
    plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0 and not attributes.get("transA", 0)
    padded = any(attributes.get("pads", [])) or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    if bias is None or not plain or attributes.get("group", 1) != 1 or (padded and np.any(shift)):
        return False
    axis = output_axis(layer)
    columns = [-1 if i == 1 - axis else 1 for i in range(weights.ndim)]
    if weights.shape[1 - axis] != scale.size or bias.size not in (1, weights.shape[axis]):
        return False
    summed = tuple(i for i in range(weights.ndim) if i != axis)
    bias = bias.reshape(-1) + (weights.astype(np.float64) * shift.reshape(columns)).sum(axis=summed)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name afterwards
        folded = graph.constant(f"{layer.input[1]}_folded", (weights * scale.reshape(columns)).astype(np.float32))
        layer.input[1] = folded
        constant = graph.constant(f"{folded}_bias", bias.astype(np.float32))
    del layer.input[2:]
    layer.input.append(constant)
    return True


def _affine_of(graph: FloatGraph, node: Any) -> tuple[str, Array, Array] | None:
    """(operand, factor, summand) per channel (axis 1) of a node that is nothing else."""
    if node.op_type == "BatchNormalization":
        if attributes_of(node).get("training_mode", 0) or any(n not in graph.constants for n in node.input[1:]):
            return None
        gamma, beta, mean, variance = (graph.constants[n].astype(np.float64) for n in node.input[1:5])
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = gamma / np.sqrt(variance + attributes_of(node).get("epsilon", 1e-5))
        return node.input[0], scale, beta - mean * scale
    if node.op_type not in ("Mul", "Add", "Sub", "Div") or len(node.input) != 2:
        return None
    constants = [i for i, n in enumerate(node.input) if n in graph.constants]
    if len(constants) != 1:
        return None
    source, value = node.input[1 - constants[0]], graph.constants[node.input[constants[0]]]
    shape = graph.shapes.get(source)
    if shape is None or len(shape) < 2 or value.ndim > len(shape):
        return None
    padded = (*(1,) * (len(shape) - value.ndim), *value.shape)
    if any(n != 1 for axis, n in enumerate(padded) if axis != 1) or padded[1] not in (1, shape[1]):
        return None
    values = np.broadcast_to(value.reshape(-1).astype(np.float64), (shape[1],))
    ones, zeros = np.ones(shape[1]), np.zeros(shape[1])
    match node.op_type:
        case "Mul":
            return source, values, zeros
        case "Add":
            return source, ones, values
        case "Sub":
            return (source, ones, -values) if constants[0] == 1 else (source, -ones, values)
        case _:  # a quotient of the value; what is divided by the value is no such function
            return (source, 1 / values, zeros) if constants[0] == 1 and np.all(values) else None
