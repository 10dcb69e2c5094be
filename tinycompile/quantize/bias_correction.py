"""Bias correction: what rounding the weights shifts on average is taken out of the bias.

Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section
4.2, with the mean over calibration samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, output_axis
from tinycompile.quantize.qdq import quantize_weights
from tinycompile.quantize.ranges import FloatSession
from tinycompile.quantize.scales import weight_scales


def bias_corrected(
    graph: FloatGraph, samples: Sequence[Mapping[str, Array]], rounded: Mapping[str, Array]
) -> FloatGraph:
    """The graph with biases that make up for the rounding of the weights.

    Args:
        rounded: as for `to_qdq`.
    """
    graph = graph.copy()
    layers = [n for n in graph.nodes if n.op_type in LINEAR and n.input[1] in graph.constants and _has_bias(graph, n)]
    if not layers:
        return graph
    probe = graph.copy()
    errors = {layer.output[0]: _error_layer(probe, layer, rounded.get(layer.output[0])) for layer in layers}
    model = probe.model()
    session = FloatSession(model, list(errors.values()))
    totals = dict.fromkeys(errors, 0.0)
    for sample in samples:
        values = session.run(sample)
        for name, probed in errors.items():
            value = values[probed]
            axis = 1 if value.ndim > 2 else value.ndim - 1
            totals[name] = totals[name] + value.mean(axis=tuple(i for i in range(value.ndim) if i != axis))
    for layer in layers:
        bias = graph.constants[layer.input[2]].reshape(-1)
        shift = np.asarray(totals[layer.output[0]]) / len(samples)
        layer.input[2] = graph.constant(f"{layer.input[2]}_corrected", (bias - shift).astype(np.float32))
    return graph


def _has_bias(graph: FloatGraph, node: Any) -> bool:
    weights = graph.constants[node.input[1]]
    size = weights.shape[output_axis(node)]
    if node.op_type == "ConvTranspose" or len(node.input) < 3 or not node.input[2]:
        return False
    return node.input[2] in graph.constants and graph.constants[node.input[2]].size == size


def _error_layer(probe: FloatGraph, layer: Any, rounded: Array | None) -> str:
    """A layer beside the real one whose weights are what rounding adds to them; the name of its result."""
    weights, axis = probe.constants[layer.input[1]], output_axis(layer)
    scale = weight_scales(weights, axis)
    shaped = scale.reshape([-1 if i == axis else 1 for i in range(weights.ndim)])
    values = quantize_weights(weights, scale, axis) if rounded is None else rounded
    error = values.astype(np.float32) * shaped - weights
    node = type(layer).FromString(layer.SerializeToString())
    del node.input[2:]
    node.input[1] = probe.constant(f"{layer.input[1]}_error", error.astype(np.float32))
    node.output[0] = f"{layer.output[0]}_error"
    node.name = ""
    probe.nodes.append(node)
    return str(node.output[0])
