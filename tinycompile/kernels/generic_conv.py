"""Convolutions and fully connected layers in portable C: every shape, every core; the fallback of faster kernels."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Function, Isa, Kernel, kernel_for
from tinycompile.kernels.generic_c import (
    Struct,
    channel_constants,
    range_fields,
    struct_call,
    window_fields,
    window_stem,
)
from tinycompile.kernels.generic_overlap import channelwise_distance, ordered_distance, window_distance
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected

PARAMETERS = ("const int8_t *input", "int8_t *output", "const int8_t *weights", "const tc_channel *channels")
NOTES = {"requantisation": "exact", "reason": "portable C that handles every shape"}

_PER_OUTPUT = 45
_PER_TAP = 14
_PER_MAC = 5


@kernel_for(Conv2D)
def conv2d(site: Site, isa: Isa) -> Kernel | None:
    """`tc_conv2d_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or not _has_constant_weights(site):
        return None
    groups = op.groups(sig)
    function = _convolution_function(site, op, "conv2d", {"groups": groups})
    taps = sig.output.elements * prod(op.window_of(sig).kernel)
    instructions = _PER_MAC * op.macs(sig) + _PER_TAP * taps + _PER_OUTPUT * sig.output.elements
    return _convolution_kernel(site, op, function, instructions)


@kernel_for(DepthwiseConv2D)
def depthwise(site: Site, isa: Isa) -> Kernel | None:
    """`tc_depthwise_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or not _has_constant_weights(site):
        return None
    function = _convolution_function(site, op, "depthwise", {})
    instructions = _PER_TAP * op.macs(sig) + _PER_OUTPUT * sig.output.elements
    return _convolution_kernel(site, op, function, instructions)


@kernel_for(FullyConnected)
def fully_connected(site: Site, isa: Isa) -> Kernel | None:
    """`tc_fully_connected_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected) or not _has_constant_weights(site):
        return None
    outputs, inputs = sig.inputs[1].shape
    rows = sig.input.elements // inputs
    fields = {
        "rows": rows,
        "inputs": inputs,
        "outputs": outputs,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    function = struct_call(
        f"fully_connected_{rows}x{inputs}_{outputs}",
        "tc_fully_connected_s8",
        "tc_fully_connected.h",
        PARAMETERS,
        (Struct("tc_fully_connected_shape", fields),),
        "Fully connected layer, one output value at a time.",
    )
    weights = site.constant(1)
    bias = site.constant(2) if len(sig.inputs) > 2 else None
    return Kernel(
        "fully_connected_generic",
        function,
        channel_constants(sig, op.requant(sig), weights, weights.sum(axis=1, dtype=np.int64), bias),
        instructions=_PER_MAC * op.macs(sig) + _PER_OUTPUT * sig.output.elements,
        code_bytes=200,
        overlap={0: _rowwise_distance(rows, inputs, outputs)},
        notes=NOTES,
    )


def _has_constant_weights(site: Site) -> bool:
    return all(constant is not None for constant in site.constants[1:])


def _rowwise_distance(rows: int, inputs: int, outputs: int) -> int:
    """Output values are written one by one; a row of inputs is read for each of its outputs."""
    before_last = np.arange(rows) * inputs
    return ordered_distance(before_last, before_last // inputs * outputs + outputs - 1)


def _convolution_function(site: Site, op: Convolution, name: str, extra: dict[str, int]) -> Function:
    sig, window = site.sig, op.window_of(site.sig)
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
        **extra,
        "input_zero_point": sig.input.zero_point,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    return struct_call(
        f"{name}_{window_stem(window, sig.input, sig.output)}",
        f"tc_{name}_s8",
        f"tc_{name}.h",
        PARAMETERS,
        (Struct(f"tc_{name}_shape", fields),),
        "Direct convolution, one output value at a time.",
    )


def _convolution_kernel(site: Site, op: Convolution, function: Function, instructions: int) -> Kernel:
    sig, weights = site.sig, site.constant(1)
    other_axes = tuple(axis for axis in range(4) if axis != op.weight_axis)
    sums = weights.sum(axis=other_axes, dtype=np.int64)
    bias = site.constant(2) if len(sig.inputs) > 2 else None
    distance = channelwise_distance if isinstance(op, DepthwiseConv2D) else window_distance
    return Kernel(
        f"{op.kind}_generic",
        function,
        channel_constants(sig, op.requant(sig), weights, sums, bias),
        instructions=instructions,
        code_bytes=400,
        overlap={0: distance(op.window_of(sig), sig.input, sig.output)},
        notes=NOTES,
    )
