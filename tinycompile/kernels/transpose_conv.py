"""Transposed convolutions in portable C: every shape, every core."""

from __future__ import annotations

from math import gcd

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Signature, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_ops import has_float_constants
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, weight_constant
from tinycompile.kernels.generic_finish import finish_of
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.ops.transpose_conv import Phase, TransposeConv
from tinycompile.targets.core import Core


@kernel_for(TransposeConv)
def transpose_conv(site: Site, core: Core) -> Kernel | None:
    """`tc_transpose_conv_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, TransposeConv) or any(c is None for c in site.constants[1:]):
        return None
    depth, channels = sig.input.shape[3] // op.groups(sig), sig.output.shape[3]
    bias = site.constant(2).astype(np.int64) if len(sig.inputs) > 2 else np.zeros(channels, np.int64)
    finish = finish_of(site, op.requant(sig), bias, op.clamp)
    fields = {**transpose_axes(op, sig), "input_zero_point": sig.input.zero_point, "range": finish.range}
    function = struct_call(
        f"transpose_conv_{transpose_conv_stem(op, sig)}",
        "tc_transpose_conv_s8",
        "tc_transpose_conv.h",
        finish.parameters,
        (Struct("tc_transpose_conv_shape", fields),),
        "Transposed convolution: every output gathers the inputs that reach it.",
        finish.arguments,
    )
    taps = transpose_taps(op, sig)
    work = sig.output.elements * (finish.instructions + 14) + taps * channels // 4 * (20 + 16 * depth)
    pixels = op.size[0] * op.size[1] * 60
    return Kernel(
        "transpose_conv_generic",
        function,
        (weight_constant(site.constant(1)), finish.constant),
        instructions=(pixels + work) * (1 if core.has("multiply_accumulate") else 3),
        code_bytes=700,
        overlap={0: rowwise_distance(op, sig)},
        notes={"requantisation": finish.form, "reason": "portable C that handles every shape"},
    )


@kernel_for(TransposeConv, dtype=FLOAT32)
def float_transpose_conv(site: Site, core: Core) -> Kernel | None:
    """`tc_float_transpose_conv`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, TransposeConv) or not has_float_constants(site):
        return None
    has_bias = len(sig.inputs) > 2
    fields = {**transpose_axes(op, sig), "batch": sig.input.shape[0]}
    constants = [_floats("weights", site.constant(1))] + ([_floats("bias", site.constant(2))] if has_bias else [])
    function = struct_call(
        f"float_transpose_conv_{transpose_conv_stem(op, sig)}",
        "tc_float_transpose_conv",
        "tc_float_transpose_conv.h",
        ("const float *input", "float *output", *(f"const float *{c.suffix}" for c in constants)),
        (Struct("tc_float_transpose_conv_shape", fields),),
        "Transposed convolution of floats: every output gathers the inputs that reach it.",
        ("input", "output", "weights", "bias" if has_bias else "NULL"),
    )
    per_product = 7 if core.has("fpu") else 130
    depth, batch, channels = sig.inputs[1].shape[3], sig.input.shape[0], sig.output.shape[3]
    return Kernel(
        "float_transpose_conv",
        function,
        tuple(constants),
        instructions=30
        + sig.output.elements * 30
        + batch * channels * transpose_taps(op, sig) * (16 + depth * per_product),
        code_bytes=500,
        notes={"reason": "float32 in plain C"},
    )


def _floats(suffix: str, values: Array) -> Constant:
    return Constant(suffix, "float", values.astype(np.float32).ravel(), "x".join(map(str, values.shape)))


def transpose_axes(op: TransposeConv, sig: Signature) -> Fields:
    """Members of a shape's struct: both `tc_transpose_axis`, channels and groups."""
    axes = {name: _axis(op, sig, axis) for axis, name in enumerate(("rows", "columns"))}
    channels = {"input_channels": sig.input.shape[3], "output_channels": sig.output.shape[3]}
    return {**axes, **channels, "groups": op.groups(sig)}


def _axis(op: TransposeConv, sig: Signature, axis: int) -> Fields:
    """Members of a `tc_transpose_axis`."""
    stride, dilation = op.stride[axis], op.dilation[axis]
    common = gcd(stride, dilation)
    return {
        "inputs": sig.input.shape[1 + axis],
        "outputs": op.size[axis],
        "kernel": sig.inputs[1].shape[1 + axis],
        "stride": stride,
        "dilation": dilation,
        "cut": op.cut[axis],
        "step": stride // common,
        "apart": dilation // common,
    }


def transpose_conv_stem(op: TransposeConv, sig: Signature) -> str:
    """Kernel, stride, input, output channels; in the form of `window_stem`."""
    _, kh, kw, _ = sig.inputs[1].shape
    (sh, sw), sizes = op.stride, "x".join(map(str, sig.input.shape[1:]))
    return f"{kh}x{kw}s{sh}{'' if sh == sw else f'x{sw}'}_{sizes}_{sig.output.shape[3]}"


def _reads(phases: tuple[Phase, ...], size: int) -> list[list[int]]:
    """The input positions inside the image that each output reads, by output."""
    found: dict[int, list[int]] = {}
    for phase in phases:
        for m in range(phase.count):
            positions = [m + phase.origin + j * phase.apart for j in range(len(phase.taps))]
            output = phase.first + m * len(phases)
            found[output] = [position for position in positions if 0 <= position < size]
    return [found[output] for output in sorted(found)]


def transpose_taps(op: TransposeConv, sig: Signature) -> int:
    """Positions of the kernel that meet inputs, over all pixels of the output."""
    rows, columns = (
        sum(map(len, _reads(phases, size))) for phases, size in zip(op.phases(sig), sig.input.shape[1:3], strict=True)
    )
    return rows * columns


def rowwise_distance(op: TransposeConv, sig: Signature) -> int:
    """A kernel that writes a row of the output, or less, while it still reads the inputs of the row."""
    _, height, width, depth = sig.input.shape
    lowest = [min(read, default=height) for read in _reads(op.phases(sig)[0], height)]
    row = sig.output.shape[2] * sig.output.shape[3]
    return ordered_distance(np.array(lowest) * width * depth, np.arange(1, len(lowest) + 1) * row)
