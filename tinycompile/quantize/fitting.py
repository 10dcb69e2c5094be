"""Weights and biases for the operands that a layer really gets: layer by layer, behind layers that are rounded already.

A layer is given the integers with which its results from rounded operands change least, and the bias that makes up for
what is left on average, of rounding its weights and of all that was rounded before. (Weights fitted to the float
network's results, as in GPTAQ, do no better on samples that nobody has seen.)

Sources: E. Frantar et al., "GPTQ", ICLR 2023, section 3: columns are rounded one by one, and what each rounding costs
is made up for by columns that aren't rounded yet. M. Nagel et al., "Up or Down? Adaptive Rounding", ICML 2020, section
3: the quadratic form that roundings are judged by; here it is descended coordinate by coordinate. M. Nagel et al.,
"Data-Free Quantization", ICCV 2019, section 4.2: biases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.coded import CodedWeights
from tinycompile.quantize.float_graph import LINEAR, attributes_of, output_axis
from tinycompile.quantize.low_bit_layers import LowBitPlan, coded_weights
from tinycompile.quantize.network import Network, Setting, Step
from tinycompile.quantize.qdq import quantize_weights
from tinycompile.quantize.rounding import descended, one_by_one
from tinycompile.quantize.scales import weight_scales
from tinycompile.quantize.windows import windows_of

_DAMPING = 0.01
"""Part of the operands' mean power that is added to each one's: what samples can't tell apart is rounded on its own."""
_LARGEST_DEPTH = 2048
_SMALLEST = 1e-30
"""Below which values are zero."""


@dataclass(eq=False)
class Fitted:
    """What was found.

    Attributes:
        setting: with the rounded weights and the biases.
        values: of the network under it.
        rounded: int8 weights by the name of their layer's result, in ONNX's layout.
        biases: float32 by the same name.
        coded: weights of few bits by the same name.
    """

    setting: Setting
    values: dict[str, Array]
    rounded: dict[str, Array] = field(default_factory=dict[str, Array])
    biases: dict[str, Array] = field(default_factory=dict[str, Array])
    coded: dict[str, CodedWeights] = field(default_factory=dict[str, CodedWeights])


def layer_scales(layer: Any, weights: Array) -> tuple[Array, int]:
    """(scales, output axis) of a linear layer's weights."""
    axis = output_axis(layer) if layer.op_type in LINEAR else weights.ndim - 1
    grouped = layer.op_type == "ConvTranspose" and attributes_of(layer).get("group", 1) != 1
    return weight_scales(weights, axis, per_channel=not grouped), axis


def along(scale: Array, axis: int, rank: int) -> Array:
    """Scales of channels, shaped to multiply weights with."""
    return scale.reshape([-1 if i == axis and scale.size > 1 else 1 for i in range(rank)])


def nearest(network: Network, setting: Setting) -> Setting:
    """With every weight rounded to the nearest number."""
    constants = dict(setting.constants)
    for step in network.steps:
        if step.layer is not None:
            weights = network.graph.constants[step.layer.input[1]]
            scale, axis = layer_scales(step.layer, weights)
            rounded = quantize_weights(weights, scale, axis).astype(np.float32)
            constants[step.result, 1] = rounded * along(scale, axis, weights.ndim)
    return replace(setting, constants=constants)


def fitted(
    network: Network,
    setting: Setting,
    *,
    weights: bool = True,
    biases: bool = True,
    plan: LowBitPlan | None = None,
    known: Mapping[str, CodedWeights] = MappingProxyType({}),
) -> Fitted:
    """Fit all layers in order.

    Args:
        setting: scales of activations, without rounded weights.
        plan: layers whose weights have few bits.
        known: by the name of a layer's result, weights that aren't fitted.
    """
    setting = nearest(network, setting)
    constants = dict(setting.constants)
    setting = replace(setting, constants=constants)
    found = Fitted(setting, {name: network.rounding(name, v, setting) for name, v in network.inputs.items()})
    for step in network.steps:
        if step.layer is not None and step.result in known:
            coded = known[step.result]
            found.coded[step.result], constants[step.result, 1] = coded, coded.weights
        elif step.layer is not None and plan is not None and step.result in plan.bits:
            x = step.layer.input[0]
            coded = coded_weights(
                step.layer, network.constant((step.result, 1)), found.values[x], network.floats[x], network.count, plan
            )
            found.coded[step.result], constants[step.result, 1] = coded, coded.weights
        elif step.layer is not None and weights:
            values = _fit(network, step, found.values)
            if values is not None:
                found.rounded[step.result], constants[step.result, 1] = values
        result = network.compute(step, found.values, setting)
        if step.layer is not None and biases and has_bias(network, step.layer):
            key = (step.result, 2)
            axis = 1 if result.ndim > 2 else result.ndim - 1
            shift = (network.floats[step.result] - result).mean(axis=tuple(i for i in range(result.ndim) if i != axis))
            bias = (network.constant(key).reshape(-1) + shift).astype(np.float32)
            constants[key] = found.biases[step.result] = bias
            result = result + along(shift.astype(np.float32), axis, result.ndim)
        found.values[step.result] = network.rounding(step.result, result, setting)
    return found


def has_bias(network: Network, layer: Any) -> bool:
    """Whether it has a bias with a number for each channel."""
    if layer.op_type not in LINEAR or len(layer.input) < 3 or layer.input[2] not in network.graph.constants:
        return False
    attributes, weights = attributes_of(layer), network.graph.constants[layer.input[1]]
    channels = weights.shape[output_axis(layer)] * (
        attributes.get("group", 1) if layer.op_type == "ConvTranspose" else 1
    )
    return network.graph.constants[layer.input[2]].size == channels and attributes.get("beta", 1.0) == 1.0


def _fit(network: Network, step: Step, values: Mapping[str, Array]) -> tuple[Array, Array] | None:
    """(int8 weights, float32 weights) of a layer; None where its operand has no windows that we know."""
    layer = step.layer
    if layer is None:
        return None
    weights = network.graph.constants[layer.input[1]]
    scale, axis = layer_scales(layer, weights)
    if weights.size // weights.shape[axis] > _LARGEST_DEPTH or layer.op_type == "ConvTranspose":
        return None
    windows = windows_of(layer, weights, values[layer.input[0]])
    if windows is None:
        return None
    groups, depth, count = windows.shape
    # The bias makes up for the mean, so that only what differs from it counts.
    windows = windows / max(float(np.abs(windows).max()), _SMALLEST)
    windows = windows - windows.mean(axis=2, keepdims=True)
    moment = windows @ windows.swapaxes(1, 2) / np.float32(count)
    rows = np.moveaxis(weights, axis, 0)
    matrix = (rows.reshape(groups, -1, depth) / scale.reshape(groups, -1, 1)).astype(np.float32)
    done = _solve(matrix, moment, max(_DAMPING, depth / count))
    integers = np.ascontiguousarray(np.moveaxis(done.reshape(rows.shape), 0, axis)).astype(np.int8)
    return integers, integers.astype(np.float32) * along(scale, axis, weights.ndim)


def _solve(matrix: Array, moment: Array, damping: float) -> Array:
    """Integers near `matrix` (groups, outputs, depth), in units of the scale.

    Args:
        moment: of the operands, float32 (groups, depth, depth).
    """
    depth = matrix.shape[2]
    power = np.trace(moment, axis1=1, axis2=2).reshape(-1, 1, 1) / depth
    moment = moment + (damping * power + _SMALLEST) * np.eye(depth, dtype=np.float32)
    order = np.argsort(-np.einsum("gii->gi", moment).mean(axis=0))
    moment, wanted = np.ascontiguousarray(moment[:, order][:, :, order]), matrix[..., order]
    result = descended(one_by_one(wanted, moment), wanted, moment)
    return result[..., np.argsort(order)]
