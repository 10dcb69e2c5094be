"""Depthwise convolution by pairs of taps, 4 channels at a time, for cores with the DSP extension (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinycompile.ir import Array, Signature, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Struct, names_of, reach_fields, struct_call
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops._spatial import Window
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

SHIFTS = (8, 6, 4, 2, 0)
"""Weights are int16 in the product, so they may carry a factor 2^pre, which the requantisation likes to have."""

LARGEST_SHIFT = 24
"""Of `tc_saturate8`."""


def requantized(layer: LinearLayer) -> RequantPlan | None:
    """A plan with a short form, for the largest factor that leaves every accumulator in int32."""
    for pre in SHIFTS:
        if layer.fits(pre):
            plan = layer.solve(pre)
            if plan.form in ("smmla", "smmla_signed") and 1 <= int(plan.shift[0]) <= LARGEST_SHIFT:
                return plan
    return None


def group_stream(matrix: Array, plan: RequantPlan) -> Array:
    """int32 stream per 4 channels: starts, words of tap pairs (C, K / 2) interleaved, parameters of each channel."""
    channels, taps = matrix.shape
    groups, pairs = -(-channels // 4), -(-taps // 2)
    filled = np.zeros((4 * groups, 2 * pairs), np.int64)
    filled[:channels, :taps] = matrix << plan.pre
    words = (filled[:, 0::2] & 0xFFFF) | ((filled[:, 1::2] & 0xFFFF) << 16)
    fields = plan.parameters
    parameters = np.zeros((4 * groups, len(fields)), np.int64)
    parameters[:channels] = np.stack(fields, axis=1)
    start = np.zeros(4 * groups, np.int64)
    start[:channels] = plan.start
    body = words.reshape(groups, 4, pairs).transpose(0, 2, 1).reshape(groups, -1)
    stream = np.concatenate([start.reshape(groups, 4), body, parameters.reshape(groups, -1)], axis=1)
    return stream.astype(np.uint32).view(np.int32).ravel()


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise(site: Site, core: Core) -> Kernel | None:
    """Any window with depth multiplier 1."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or site.constants[1] is None:
        return None
    layer = LinearLayer.of(site)
    plan = requantized(layer) if sig.input.shape[3] == sig.output.shape[3] else None
    return None if plan is None else pairs_of_taps(sig, op, layer, plan)


def pairs_of_taps(sig: Signature, op: DepthwiseConv2D, layer: LinearLayer, plan: RequantPlan) -> Kernel:
    """With depth multiplier 1. Of the layer's weights only the constant array is made."""
    (_, height, width, _), (_, out_height, out_width, channels) = sig.input.shape, sig.output.shape
    kernel_height, kernel_width = layer.window
    rows = (kernel_height - 1) * op.dilation[0] + 1
    columns = (out_width - 1) * op.stride[1] + (kernel_width - 1) * op.dilation[1] + 1
    signed = plan.form == "smmla_signed"
    pairs = -(-layer.taps // 2)
    shape = {
        "input_height": height,
        "input_width": width,
        "output_height": out_height,
        "output_width": out_width,
        "channels": channels,
        **reach_fields(Window(layer.window, op.stride, op.dilation, op.padding)),
        "zero_point": layer.zp_in,
        "rows": rows,
        "row_bytes": -(-(columns * channels + 3) // 4) * 4,
        "group_words": 4 + 4 * pairs + 4 * (3 if signed else 2),
        "sign_step": int(signed),
        "shift": int(plan.shift[0]),
        "low": plan.low,
        "high": plan.high,
    }
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    function = struct_call(
        f"depthwise_{kernel_height}x{kernel_width}s{op.stride[0]}_{height}x{width}x{channels}",
        "tc_depthwise_pairs_s8",
        "tc_depthwise_pairs.h",
        parameters,
        (Struct("tc_depthwise_pairs_shape", shape),),
        "Depthwise convolution by pairs of taps, 4 channels at a time.",
        (*names_of(parameters), "tap_rows"),
        variables=(f"const int8_t *tap_rows[{kernel_height}]",),
    )
    groups = -(-channels // 4)
    per_pixel = 35 + 16 * pairs + (8 if signed else 0) + (28 if (plan.low, plan.high) != (-128, 127) else 0)
    return Kernel(
        "depthwise_pairs",
        function,
        (
            Constant(
                "weights",
                "int32_t",
                Deferred(groups * shape["group_words"], np.int32, lambda: group_stream(layer.matrix, plan)),
                "per 4 channels: starts, tap pairs, requantisation",
            ),
        ),
        scratch_bytes=rows * shape["row_bytes"],
        instructions=60 + out_height * (60 + columns * channels // 2 + groups * (15 + out_width * per_pixel)),
        code_bytes=300 + 60 * pairs,
        overlap={0: safe_distance(_steps(op, rows, sig.input.shape, sig.output.shape))},
        notes={"requantisation": plan.form},
        requant=plan.shape_in_code,
    )


def _steps(op: DepthwiseConv2D, rows: int, x: tuple[int, ...], y: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """After each output row: the first input row that isn't in the ring yet, and the bytes written."""
    for done in range(1, y[1]):
        pending = max(0, (done - 1) * op.stride[0] - op.padding[0] + rows)
        if pending < x[1]:
            yield pending * x[2] * x[3], done * y[2] * y[3]
