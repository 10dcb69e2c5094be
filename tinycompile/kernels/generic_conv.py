"""Convolutions and fully connected layers in portable C: every shape, every core; the fallback of faster kernels."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Isa, Kernel, kernel_for, structured
from tinycompile.kernels.generic_c import (
    Fields,
    Struct,
    channel_constants,
    range_fields,
    struct_call,
    weight_constant,
    window_fields,
    window_stem,
)
from tinycompile.kernels.generic_overlap import channelwise_distance, ordered_distance, window_distance
from tinycompile.kernels.linear import LinearLayer
from tinycompile.numerics.fixed_point import wrap_int32
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._spatial import Window
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected

PARAMETERS = ("const int8_t *input", "int8_t *output", "const int8_t *weights", "const tc_channel *channels")
NOTES = {"requantisation": "exact", "reason": "portable C that handles every shape"}

_REQUANTISE = 38
"""Instructions per output of what follows the products."""


@kernel_for(Conv2D)
def conv2d(site: Site, isa: Isa) -> Kernel | None:
    """`tc_conv2d_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or not _has_constant_weights(site):
        return None
    window, weights = op.window_of(sig), site.constant(1)
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "padded": int(any(window.padding)),
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
        "groups": op.groups(sig),
        "input_zero_point": sig.input.zero_point,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    folded = weights.sum(axis=(1, 2, 3), dtype=np.int64) * -sig.input.zero_point
    return Kernel(
        "conv2d_generic",
        _convolution_function(site, op, "conv2d", fields),
        channel_constants(op.requant(sig), weights, _bias(site) + folded),
        instructions=_on(isa, _conv2d_instructions(site, window)),
        code_bytes=600,
        overlap={0: window_distance(window, sig.input, sig.output)},
        notes=NOTES,
    )


@kernel_for(DepthwiseConv2D)
def depthwise(site: Site, isa: Isa) -> Kernel | None:
    """`tc_depthwise_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or not _has_constant_weights(site):
        return None
    window = op.window_of(sig)
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
        "input_zero_point": sig.input.zero_point,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    return Kernel(
        "depthwise_generic",
        _convolution_function(site, op, "depthwise", fields),
        channel_constants(op.requant(sig), site.constant(1), _bias(site)),
        instructions=_on(isa, _depthwise_instructions(site, window)),
        code_bytes=300,
        overlap={0: channelwise_distance(window, sig.input, sig.output)},
        notes=NOTES,
    )


@kernel_for(FullyConnected)
def fully_connected(site: Site, isa: Isa) -> Kernel | None:
    """`tc_fully_connected_s8`, or `tc_fully_connected_double_s8` where no fixed-point factor is exact."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected) or not _has_constant_weights(site):
        return None
    rule, weights = op.requant(sig), site.constant(1)
    bias = _bias(site) - weights.sum(axis=1, dtype=np.int64) * sig.input.zero_point
    fixed = bool(np.all(rule.is_fixed_point(*LinearLayer.of(site).acc_range)))
    outputs, inputs = weights.shape
    rows = sig.input.elements // inputs
    fields = {
        "rows": rows,
        "inputs": inputs,
        "outputs": outputs,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    function = struct_call(
        f"fully_connected_{rows}x{inputs}_{outputs}",
        "tc_fully_connected_s8" if fixed else "tc_fully_connected_double_s8",
        "tc_fully_connected.h",
        PARAMETERS if fixed else (*PARAMETERS[:3], "const tc_double_channel *channels"),
        (Struct("tc_fully_connected_shape", fields),),
        "Fully connected layer, up to four outputs at a time.",
    )
    constants = channel_constants(rule.fixed_point, weights, bias) if fixed else _double_constants(rule, weights, bias)
    finish = _REQUANTISE if fixed else 200
    return Kernel(
        "fully_connected_generic",
        function,
        constants,
        instructions=_on(isa, rows * (outputs * finish + outputs // 4 * inputs * 12 + outputs % 4 * inputs * 5)),
        code_bytes=300,
        overlap={0: _rowwise_distance(rows, inputs, outputs)},
        notes=NOTES if fixed else {**NOTES, "requantisation": "float64"},
    )


def _double_constants(rule: RoundedProductRequant, weights: Array, bias: Array) -> tuple[Constant, Constant]:
    channels = structured(factor=rule.scale, bias=wrap_int32(bias))
    return (
        weight_constant(weights),
        Constant("channels", "tc_double_channel", channels, "factor, bias"),
    )


def _has_constant_weights(site: Site) -> bool:
    return all(constant is not None for constant in site.constants[1:])


def _rowwise_distance(rows: int, inputs: int, outputs: int) -> int:
    """Output values are written one by one; a row of inputs is read for each of its outputs."""
    before_last = np.arange(rows) * inputs
    return ordered_distance(before_last, before_last // inputs * outputs + outputs - 1)


def _convolution_function(site: Site, op: Convolution, name: str, fields: Fields) -> Function:
    return struct_call(
        f"{name}_{window_stem(op.window_of(site.sig), site.sig.input, site.sig.output)}",
        f"tc_{name}_s8",
        f"tc_{name}.h",
        PARAMETERS,
        (Struct(f"tc_{name}_shape", fields),),
        f"{op.kind}, straight from its definition.",
    )


def _bias(site: Site) -> Array:
    if len(site.sig.inputs) > 2:
        return site.constant(2).astype(np.int64)
    return np.zeros(site.sig.output.shape[-1], np.int64)


def _on(isa: Isa, instructions: int) -> int:
    """Thumb-1 takes about three times as many: no indexed signed loads in loops, no multiply-accumulate."""
    return 3 * instructions if isa.thumb1 else instructions


def _conv2d_instructions(site: Site, window: Window) -> int:
    """Windows inside the image take four output channels at a time, those at its border go tap by tap."""
    sig = site.sig
    _, kh, kw, depth = sig.inputs[1].shape
    _, rows, columns, channels = sig.output.shape
    inside = _inside(rows, window, 0, sig.input.shape[1]) * _inside(columns, window, 1, sig.input.shape[2])
    direct = _REQUANTISE + kh * 8 + kh * kw * depth * 13 // 4
    at_border = _REQUANTISE + kh * kw * (15 + 5 * depth)
    return channels * (inside * direct + (rows * columns - inside) * at_border)


def _depthwise_instructions(site: Site, window: Window) -> int:
    """Taps outside the image cost nothing."""
    sig = site.sig
    _, height, width, channels = sig.output.shape
    rows = int(_taps_inside(height, window, 0, sig.input.shape[1]).sum())
    columns = int(_taps_inside(width, window, 1, sig.input.shape[2]).sum())
    return channels * (height * width * _REQUANTISE + rows * width * 8 + rows * columns * 7)


def _inside(outputs: int, window: Window, axis: int, size: int) -> int:
    """How many windows lie inside the image along an axis."""
    return int(np.sum(_taps_inside(outputs, window, axis, size) == window.kernel[axis]))


def _taps_inside(outputs: int, window: Window, axis: int, size: int) -> Array:
    """How many taps of each window lie inside the image along an axis."""
    origins = np.arange(outputs) * window.stride[axis] - window.padding[2 * axis]
    positions = origins[:, None] + np.arange(window.kernel[axis]) * window.dilation[axis]
    return np.sum((positions >= 0) & (positions < size), axis=1)
