"""A float model as it would be quantised, with typical ranges where calibration would find them: for prices alone.

What a network costs follows from its shapes and types; its graph is that of the quantised model if it has scales.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycompile.frontend.onnx_file import OnnxModel
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, output_axis
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.prepare import prepared, with_biases
from tinycompile.quantize.qdq import RANGES_OF_FUNCTIONS, linear_layers, quantized_values, to_qdq

_HIGHEST, _LOWEST = 6.4, -6.4
"""Of values of which nothing is known; no zero point is 0 then, as it isn't with real samples."""
_POSITIVE = ("Relu", "Clip", "Softmax", "Sigmoid", "HardSigmoid")
_LEVELS, _FIRST = 256, -128
_SMALLEST = 1e-6
"""Of a channel's largest weight: some layers start at 0 before they are trained."""


def assumed_qdq(model: OnnxModel, where: str) -> Any:
    """The QDQ ModelProto of a float model whose shapes are known.

    Raises:
        ModelFileError, UnsupportedError: as for `quantize`.
    """
    graph = with_biases(simplified(prepared(model.proto, model.shapes, where)))
    _even_out(graph)
    return to_qdq(graph, _typical_ranges(graph)).proto


def _even_out(graph: FloatGraph) -> None:
    """The same scale and bias for all channels of a layer: their requantisations are then found once.

    Prices are those of typical weights and don't depend on these.
    """
    for layer in linear_layers(graph):
        weights = graph.constants[layer.input[1]]
        axis = output_axis(layer) if layer.op_type in LINEAR else 1
        others = tuple(i for i in range(weights.ndim) if i != axis)
        peaks = np.maximum(np.abs(weights).max(axis=others, keepdims=True), np.float32(_SMALLEST))
        layer.input[1] = graph.constant(f"{layer.output[0]}_even", weights / peaks)
        if len(layer.input) > 2 and layer.input[2]:
            bias = graph.constants[layer.input[2]]
            layer.input[2] = graph.constant(f"{layer.output[0]}_no_bias", np.zeros_like(bias))


def _typical_ranges(graph: FloatGraph) -> dict[str, tuple[float, int]]:
    """(scale, zero point) of every tensor that is quantised."""
    producers = graph.producers()
    found = dict[str, tuple[float, int]]()
    for name in quantized_values(graph):
        node = producers.get(name)
        kind = "" if node is None else node.op_type
        low, high = RANGES_OF_FUNCTIONS.get(kind, (0.0 if kind in _POSITIVE else 0.98 * _LOWEST, _HIGHEST))
        scale = (high - low) / (_LEVELS - 1)
        found[name] = scale, round(_FIRST - low / scale)
    return found
