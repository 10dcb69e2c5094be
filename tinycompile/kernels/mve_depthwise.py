"""Depthwise convolution by Helium: the window in tiles of 4x4 taps, one instruction each (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.ops._spatial import Window
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core


def tiled_weights(taps: Array) -> Array:
    """(C, kh, kw) as int8: [C, filled up to a multiple of 4][row tiles][kw][4 rows]."""
    channels, height, width = taps.shape
    filled = np.pad(taps, ((0, -channels % 4), (0, -height % 4), (0, 0))).astype(np.int8)
    return filled.reshape(filled.shape[0], -1, 4, width).transpose(0, 1, 3, 2).ravel()


@kernel_for(DepthwiseConv2D, needs={"mve"})
def depthwise(site: Site, core: Core) -> Kernel | None:
    """Depth multiplier 1."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or any(constant is None for constant in site.constants[1:]):
        return None
    (_, _, _, channels), (_, out_height, out_width, outputs) = sig.input.shape, sig.output.shape
    if channels != outputs:
        return None
    layer = LinearLayer.of(site)
    requant = ProductRequant.of(layer)
    if requant is None:
        return None
    window = op.window_of(sig)
    row_tiles, column_tiles = -(-window.kernel[0] // 4), -(-window.kernel[1] // 4)
    columns = (out_width - 1) * window.stride[1] + (4 * column_tiles - 1) * window.dilation[1] + 1
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "channels": channels,
        "row_tiles": row_tiles,
        "columns": columns,
        "input_zero_point": layer.zp_in,
        "requant": requant.fields,
    }
    function = struct_call(
        f"depthwise_mve_{window_stem(window, sig.input, sig.output)}",
        "tc_mve_depthwise_s8",
        "tc_mve_depthwise.h",
        ("const int8_t *input", "int8_t *output", "const int8_t *weights", "const int32_t *requant", "void *scratch"),
        (Struct("tc_mve_depthwise_shape", fields),),
        "Depthwise convolution, 4 channels at a time, 16 taps per instruction.",
    )
    tiles, quads = row_tiles * column_tiles, -(-channels // 4)
    weights = Deferred(
        4 * quads * 4 * row_tiles * window.kernel[1], np.int8, lambda: tiled_weights(layer.weights[..., 0])
    )
    pack = -(-channels // 16) * row_tiles * (80 + 14 * columns)
    return Kernel(
        "depthwise_mve",
        function,
        (
            Constant("weights", "int8_t", weights, "per channel: 4 rows of each column"),
            requant.vectors(4),
        ),
        scratch_bytes=16 + 64 * row_tiles * columns,
        instructions=out_height * (pack + quads * (35 + out_width * (24 if tiles == 1 else 26 + 37 * tiles))),
        code_bytes=600,
        overlap={0: _row_distance(window, sig.input.shape, sig.output.shape)},
        notes={"requantisation": requant.plan.form},
        requant=requant.plan.shape_in_code,
    )


def _row_distance(window: Window, x: tuple[int, ...], y: tuple[int, ...]) -> int:
    """Input rows are read until the last channels of an output row are written."""
    rows = np.arange(y[1])
    first = np.maximum(rows * window.stride[0] - window.padding[0], 0)
    return ordered_distance(first * x[2] * x[3], (rows + 1) * y[2] * y[3])
