"""Depthwise convolution with a window of up to 3x3 from vertical pairs, for cores with the DSP extension.

The technique is in docs/kernels.md.
"""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Isa, Kernel, kernel_for
from tinycompile.kernels.depthwise_pairs import requantized
from tinycompile.kernels.lane import Epilogue
from tinycompile.kernels.linear import LinearLayer
from tinycompile.kernels.render import render
from tinycompile.numerics.requant_solver import RequantPlan
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

WINDOW = 3


def records(matrix: Array, plan: RequantPlan) -> Array:
    """int32 per channel: pairs of the first two taps of each column, pairs of the last two, requantisation.

    The requantisation is start, multiplier, offset and, in the signed form, the sign step.

    Args:
        matrix: weights (C, 3, 3).
    """
    lanes = (matrix << plan.pre) & 0xFFFF
    pairs = [lanes[:, row] | (lanes[:, row + 1] << 16) for row in (0, 1)]
    fields = [plan.start, plan.multiplier, plan.offset, *([plan.sign_step] if plan.form == "smmla_signed" else [])]
    stream = np.concatenate([*pairs, np.stack(fields, axis=1).astype(np.int64)], axis=1)
    return (stream & 0xFFFFFFFF).astype(np.uint32).view(np.int32).ravel()


@kernel_for(DepthwiseConv2D)
def depthwise_rows(site: Site, isa: Isa) -> Kernel | None:
    """Depth multiplier 1, stride 1 or 2 in both directions, at least 4 channels."""
    op, sig = site.node.op, site.sig
    if not isa.dsp or not isinstance(op, DepthwiseConv2D) or site.constants[1] is None:
        return None
    (_, height, width, depth), (_, out_height, out_width, channels) = sig.input.shape, sig.output.shape
    layer = LinearLayer.of(site)
    window = layer.weights.shape[1:3]
    reaches = [(size - 1) * dilation for size, dilation in zip(window, op.dilation, strict=True)]
    if op.stride not in ((1, 1), (2, 2)) or depth != channels or channels < 4 or max(reaches) >= WINDOW:
        return None
    found = requantized(layer)
    epilogue = None if found is None else Epilogue.of(found)
    if found is None or epilogue is None:
        return None
    taps = np.zeros((channels, WINDOW, WINDOW), np.int64)
    taps[:, : reaches[0] + 1 : op.dilation[0], : reaches[1] + 1 : op.dilation[1]] = layer.weights[..., 0]
    stride, record = op.stride[0], 10 if epilogue.signed else 9
    columns = -(-((max(2, out_width) - 1) * stride + WINDOW) // 2) * 2
    needed = min(width, columns - op.padding[2])
    if needed <= 0:
        return None
    rows = 2 if stride == 1 else 1
    end = 8 * stride * max(1, out_width // 2)
    image = {
        "row_bytes": width * channels,
        "channels": channels,
        "plane_bytes": 4 * columns,
        "even_bytes": 4 * (needed - needed % 2),
        "height": height,
        "columns": needed,
        "zero_point": layer.zp_in,
    }
    kind = f"depthwise_3x3s{stride}"
    function = Function(
        stem=f"depthwise_rows_{window[0]}x{window[1]}s{stride}_{height}x{width}x{channels}",
        parameters=("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch"),
        body=render(
            "kernels/depthwise_rows.c.j2",
            image=image,
            columns=columns,
            zero_point=layer.zp_in,
            channels=channels,
            padding_top=op.padding[0],
            padding_left=op.padding[2],
            output_height=out_height,
            output_row=out_width * channels,
            step=channels if out_width > 1 else 0,
            end=end,
            last_end=end + (4 * stride if out_width % 2 and out_width > 1 else 0),
            rows=rows,
            record=record,
            block=epilogue.name(kind),
        ),
        headers=("kernels/tc_depthwise_rows.h",),
        comment="Depthwise convolution, one channel of 2 x 2 outputs in registers."
        if rows == 2
        else "Depthwise convolution, one channel of 2 outputs in registers.",
        preambles=(epilogue.source("depthwise_rows_block", kind, stride=stride, schedule=isa.schedule),),
    )
    strips, groups = -(-out_height // rows), -(-channels // 4)
    per_block = (50 if stride == 1 else 32) + (2 * rows if epilogue.signed else 0) * 2 + (5 if epilogue.signed else 0)
    per_block += 2 * rows * len(epilogue.clamp)
    work = groups * (60 + (strips + 1) * (35 + 12 * needed)) + channels * strips * (42 + per_block * -(-out_width // 2))
    return Kernel(
        "depthwise_rows",
        function,
        (
            Constant(
                "weights",
                "int32_t",
                records(taps, found),
                "per channel: pairs of taps, start, requantisation",
            ),
        ),
        scratch_bytes=32 * columns,
        instructions=80 + 8 * columns * 2 + work,
        code_bytes=700,
        in_place=stride == 1 and sig.input.shape == sig.output.shape and op.padding[0] < WINDOW,
        notes={"requantisation": found.form},
    )
