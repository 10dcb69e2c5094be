"""Cross-layer range equalisation: scales move between a layer and the next one, exactly.

Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section
4.1, with the activations' ranges in place of the first layer's weights, whose channels have scales of their own here;
G. Xiao et al., "SmoothQuant", ICML 2023, section 4, is the same migration with an exponent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.float_graph import LINEAR, FloatGraph, attributes_of, output_axis

_LARGEST_FACTOR = 64.0
_HOMOGENEOUS = ("Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool")
"""f(s x) = s f(x) for s > 0, channel by channel."""


def equalized(graph: FloatGraph, peaks: Mapping[str, Array], exponent: float = 0.5) -> FloatGraph:
    """The same function with more even channels.

    Args:
        peaks: the largest magnitude per channel of the values that are quantised.
        exponent: how much of the activations' unevenness goes into the next layer's weights; all of it where those have
            a scale per channel, in a depthwise layer.
    """
    graph = graph.copy()
    for layer in graph.nodes:
        if layer.op_type not in LINEAR or layer.input[1] not in graph.constants:
            continue
        last, following = _following(graph, layer)
        if following is None or last not in peaks:
            continue
        factors = _factors(graph, following, peaks[last], exponent)
        if factors is not None and factors.size == graph.constants[layer.input[1]].shape[output_axis(layer)]:
            _migrate(graph, layer, following, factors)
    return graph


def aligned(graph: FloatGraph, peaks: Mapping[str, Array], wanted: Mapping[str, float]) -> FloatGraph:
    """The same function with the values between two layers scaled to a given magnitude.

    Args:
        peaks: the largest magnitude per channel of the values that are quantised.
        wanted: the largest magnitude that each of them should have.
    """
    graph = graph.copy()
    for layer in graph.nodes:
        if layer.op_type not in LINEAR or layer.input[1] not in graph.constants:
            continue
        last, following = _following(graph, layer)
        if following is None or last not in peaks or last not in wanted:
            continue
        peak, channels = float(peaks[last].max()), graph.constants[layer.input[1]].shape[output_axis(layer)]
        if peak > 0 and wanted[last] > 0 and _reads_channels(graph, following, channels):
            _migrate(graph, layer, following, np.full(channels, peak / wanted[last]))
    return graph


def _reads_channels(graph: FloatGraph, following: Any, channels: int) -> bool:
    """Whether a layer's weights can be scaled channel by channel of what it reads."""
    weights = graph.constants[following.input[1]]
    if _is_depthwise(graph, following):
        return weights.shape[0] == channels
    ungrouped = attributes_of(following).get("group", 1) == 1
    return ungrouped and weights.shape[_input_axis(following)] == channels


def _following(graph: FloatGraph, layer: Any) -> tuple[str, Any | None]:
    """(the value that the next linear layer reads, that layer), through homogeneous functions with one reader each."""
    name = layer.output[0]
    while True:
        reader = graph.only_consumer(name)
        if reader is None:
            return name, None
        if reader.op_type in LINEAR and reader.input[0] == name and reader.input[1] in graph.constants:
            return name, reader
        if reader.op_type not in _HOMOGENEOUS:
            return name, None
        name = reader.output[0]


def _is_depthwise(graph: FloatGraph, layer: Any) -> bool:
    weights = graph.constants[layer.input[1]]
    group = attributes_of(layer).get("group", 1)
    return layer.op_type == "Conv" and weights.shape[1] == 1 and weights.shape[0] == group > 1


def _factors(graph: FloatGraph, following: Any, peak: Array, exponent: float) -> Array | None:
    """What each channel is divided by."""
    weights = graph.constants[following.input[1]]
    if _is_depthwise(graph, following):
        raw = peak.astype(np.float64)
    elif attributes_of(following).get("group", 1) == 1:
        others = tuple(i for i in range(weights.ndim) if i != _input_axis(following))
        weight_peak = np.abs(weights).max(axis=others).astype(np.float64)
        if weight_peak.size != peak.size:
            return None
        raw = np.power(peak, exponent) / np.power(np.maximum(weight_peak, 1e-9), 1 - exponent)
    else:
        return None
    alive = raw[(raw > 0) & (peak > 0)]
    if not alive.size:
        return None
    # The largest magnitude of the whole tensor stays what it is, so that no channel loses bits.
    reference = np.max(np.where(peak > 0, raw, 0))
    factors = np.where((raw > 0) & (peak > 0), raw / reference, 1.0)
    return np.clip(factors, 1 / _LARGEST_FACTOR, 1.0)


def _input_axis(layer: Any) -> int:
    if layer.op_type == "Gemm":
        return 1 if attributes_of(layer).get("transB", 0) else 0
    return 0 if layer.op_type == "ConvTranspose" else 1


def _migrate(graph: FloatGraph, layer: Any, following: Any, factors: Array) -> None:
    """Divide the channels of one layer, multiply them in the next one; not where that would leave float32."""
    changes = [(layer, 1, output_axis(layer), 1 / factors)]
    if len(layer.input) > 2 and layer.input[2]:
        changes.append((layer, 2, 0, 1 / factors))
    axis = 0 if _is_depthwise(graph, following) else _input_axis(following)
    changes.append((following, 1, axis, factors))
    with np.errstate(over="ignore"):
        values = [_multiplied(graph, *change) for change in changes]
    if all(np.all(np.isfinite(value)) for value in values):
        for (node, operand, _, _), value in zip(changes, values, strict=True):
            node.input[operand] = graph.constant(f"{node.input[operand]}_equalised", value)


def _multiplied(graph: FloatGraph, node: Any, operand: int, axis: int, factors: Array) -> Array:
    value = graph.constants[node.input[operand]]
    if operand == 2:
        value = np.broadcast_to(value.reshape(-1), factors.shape)
    shaped = factors.reshape([-1 if i == axis else 1 for i in range(value.ndim)])
    return (value * shaped).astype(np.float32)
