"""A float network without some channels: layers do without them, and others make up for what that changes.

A channel that no layer reads any more is 0 in all layers that make it, weights and bias, so that it takes no part of
the ranges that activations are rounded in. What read it has weights of least squares for the channels that are left,
with which results are nearest to those of the network as it was, and a bias that makes up for what is missing on
average.

Source: Y. He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, section 3.1, whose
reconstruction this is, behind layers that are pruned already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.coded import rows_of
from tinycompile.quantize.execution import Sample
from tinycompile.quantize.fitting import has_bias
from tinycompile.quantize.float_graph import FloatGraph, output_axis
from tinycompile.quantize.network import Network, Setting, Step
from tinycompile.quantize.windows import windows_of

_LARGEST_DEPTH = 2304
"""Products of an output from which on no equations are solved: weights stay, the bias makes up for the mean alone."""
_DAMPING, _HOLD = 0.01, 0.1
"""Part of the operands' mean power with which weights hold on to what they were: at least, with a column per product.
"""
_LEAST_POWER = 1e-30


def without_channels(
    graph: FloatGraph, samples: Sequence[Sample], reads: Mapping[str, Array], makes: Mapping[str, Array]
) -> FloatGraph:
    """The network without some channels; its shapes are what they were.

    Args:
        graph: prepared, with biases.
        reads: input channels that a layer does without, by the name of its result.
        makes: output channels that nobody reads then, by the same.
    """
    network = Network(graph, samples)
    constants = dict[tuple[str, int], Array]()
    setting, values = Setting({}, constants), dict(network.inputs)
    for step in network.steps:
        name = step.result
        if step.layer is not None and name in reads:
            constants[name, 1] = _reconstructed(network, step, values, reads[name])
        if step.layer is not None and name in makes:
            _silence(network, step.layer, name, makes[name], constants)
        result = network.compute(step, values, setting)
        if step.layer is not None and name in reads and has_bias(network, step.layer):
            axis = 1 if result.ndim > 2 else result.ndim - 1
            shift = (network.floats[name] - result).mean(axis=tuple(i for i in range(result.ndim) if i != axis))
            shift[makes.get(name, np.zeros(0, np.int64))] = 0
            own = constants.get((name, 2), network.constant((name, 2)))
            constants[name, 2] = (own.reshape(-1) + shift).astype(np.float32)
            result = network.compute(step, values, setting)
        values[name] = result
    found = graph.copy()
    for node in found.nodes:
        for index in (1, 2):
            changed = constants.get((node.output[0], index))
            if changed is not None:
                node.input[index] = found.constant(f"{node.input[index]}_pruned", changed)
    return found


def _channel_of(layer: Any, weights: Array) -> Array:
    """int64 (depth,): the input channel of each product of an output, in the order of `rows_of`."""
    axis = output_axis(layer)
    channels, *places = (size for at, size in enumerate(weights.shape) if at != axis)
    numbers: Array = np.arange(int(channels))
    return np.repeat(numbers, int(np.prod(places)))


def _reconstructed(network: Network, step: Step, values: Mapping[str, Array], gone: Array) -> Array:
    """Weights in ONNX's layout, those of channels that are gone exactly 0."""
    layer, weights = step.layer, network.constant((step.result, 1))
    axis = output_axis(layer)
    own = rows_of(weights, axis, 1)[0].astype(np.float64)
    kept = ~np.isin(_channel_of(layer, weights), gone)
    rows = own * kept
    x = layer.input[0] if layer is not None else ""
    windows = [windows_of(layer, weights, each[x]) for each in (values, network.floats)]
    if windows[0] is not None and windows[1] is not None and own.shape[1] <= _LARGEST_DEPTH:
        given, wanted = (each[0] - each[0].mean(axis=1, keepdims=True) for each in (windows[0][:, kept], windows[1]))
        count = given.shape[1]
        moment = (given @ given.swapaxes(0, 1)).astype(np.float64) / count
        cross = (own.astype(np.float32) @ wanted @ given.swapaxes(0, 1)).astype(np.float64) / count
        strength = max(_DAMPING, _HOLD * own.shape[1] / count) * max(float(moment.trace()) / len(moment), _LEAST_POWER)
        hold = strength * np.eye(len(moment))
        flat: Array = moment + hold
        right: Array = cross + own[:, kept] @ hold
        rows[:, kept] = np.swapaxes(np.linalg.solve(flat, right.transpose()), 0, 1)
    moved = (weights.shape[axis], *(size for at, size in enumerate(weights.shape) if at != axis))
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, axis)).astype(np.float32)


def _silence(network: Network, layer: Any, name: str, gone: Array, constants: dict[tuple[str, int], Array]) -> None:
    """A layer makes 0 of these output channels."""
    for index, axis in ((1, output_axis(layer)), (2, 0)):
        if index == 1 or has_bias(network, layer):
            value = constants.get((name, index), network.constant((name, index))).copy()
            np.moveaxis(value, axis, 0)[gone] = 0
            constants[name, index] = value
