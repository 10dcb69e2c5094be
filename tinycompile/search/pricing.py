"""What a float network would cost as an int8 firmware, before it has been trained or has seen a sample.

Its tensors get typical scales where calibration would find them, so that its graph is that of the quantised model; its
layers are priced with typical weights (`typical.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinycompile.costing import Cost, Measuring, cost_of
from tinycompile.errors import UsageError
from tinycompile.frontend.onnx import import_model
from tinycompile.frontend.onnx_file import static_model
from tinycompile.ir import Graph
from tinycompile.options import Options
from tinycompile.passes.io import int8_io
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, output_axis
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.prepare import prepared, with_biases
from tinycompile.quantize.qdq import RANGES_OF_FUNCTIONS, linear_layers, quantized_values, to_qdq
from tinycompile.targets import Board

_HIGHEST, _LOWEST = 6.4, -6.4
"""Of values of which nothing is known; no zero point is 0 then, as it isn't with real samples."""
_POSITIVE = ("Relu", "Clip", "Softmax", "Sigmoid", "HardSigmoid")
_LEVELS, _FIRST = 256, -128
_SMALLEST = 1e-6
"""Of a channel's largest weight: some layers start at 0 before they are trained."""


def typically_quantized(proto: Any, where: str = "the candidate") -> Graph:
    """The int8 graph of a float model, with ranges that are typical and not those of any sample.

    Args:
        proto: a float ModelProto; a batch of any size is 1.

    Raises:
        ModelFileError, UnsupportedError: as for `quantize`.
    """
    static = static_model(proto, where)
    graph = with_biases(simplified(prepared(static.proto, static.shapes, where)))
    _even_out(graph)
    quantized = to_qdq(graph, _typical_ranges(graph)).proto
    return import_model(static_model(quantized, where), where, where, "model", "islands")


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


def price(
    proto: Any,
    board: Board,
    options: Options,
    where: str = "the candidate",
    ends: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
    measure: Measuring = "none",
) -> Cost:
    """What a float model would cost, quantised and built.

    Args:
        ends: shapes that its only input and its only output must have; None for any.
        measure: as `cost` takes it.

    Raises:
        DoesNotFitError: there is no room for its arena. UsageError: it has other ends. Others as `typically_quantized`.
    """
    graph = typically_quantized(proto, where)
    found = [[graph.types[name].shape for name in names] for names in (graph.inputs, graph.outputs)]
    if ends is not None and found != [[end] for end in ends]:
        raise UsageError(
            "the network goes from {} to {}".format(*(", ".join(map(str, shapes)) for shapes in found)),
            where=where,
            why="samples and their classes are from {} to {}".format(*ends),
            hint="a network for the shape and the number of classes that `build` is given",
        )
    return cost_of(int8_io(graph) if options.io == "int8" else graph, board, options, exact=False, measure=measure)
