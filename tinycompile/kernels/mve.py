"""Convolution and fully connected layers by Helium: 16 products per instruction (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, linear_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for, safe_distance
from tinycompile.kernels.block import is_dense, pixel_steps, row_window
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights, padding_value
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core


def grouped_weights(matrix: Array) -> Array:
    """(C, K) as int8: [blocks of 4 channels][groups of 16 taps][4][16], filled up with zeros."""
    channels, taps = matrix.shape
    filled = np.pad(matrix, ((0, -channels % 4), (0, -taps % 16))).astype(np.int8)
    return filled.reshape(-1, 4, filled.shape[1] // 16, 16).transpose(0, 2, 1, 3).ravel()


@kernel_for(Conv2D, needs={"mve"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _conv2d(site)


@cover_for(*PATTERNS, needs={"mve"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""
    found = linear_and_after(site)
    if found is None:
        return None
    layer, after = found
    return (_fully_connected if isinstance(layer.node.op, FullyConnected) else _conv2d)(layer, after)


def _conv2d(site: Site, after: After | None = None) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Convolution) or not is_dense(site):
        return None
    window, (_, height, width, channels) = op.window_of(sig), sig.output.shape
    depth, pixels = sig.input.shape[3], height * width
    pointwise = window.kernel == window.stride == (1, 1) and not any(window.padding)
    distance = _direct_distance(pixels, depth, channels)
    if not pointwise or depth % 16:
        distance = safe_distance(pixel_steps(window, sig.input.shape, sig.output.shape))
    stem = f"conv2d_mve_{window_stem(window, sig.input, sig.output)}"
    return _kernel(site, stem, window_fields(window, sig.input, sig.output), depth, pixels, pointwise, distance, after)


@kernel_for(FullyConnected, needs={"mve"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """A pointwise convolution of its rows."""
    return _fully_connected(site)


def _fully_connected(site: Site, after: After | None = None) -> Kernel | None:
    if has_wide_weights(site):
        return None
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    distance = _direct_distance(rows, inputs, outputs)
    stem = f"fully_connected_mve_{rows}x{inputs}_{outputs}"
    return _kernel(site, stem, row_window(rows), inputs, rows, True, distance, after)


def _direct_distance(pixels: int, inputs: int, outputs: int) -> int:
    """Two pixels are read until their last outputs are written."""
    first = np.arange(0, pixels, 2)
    return ordered_distance(first * inputs, (first + 2).clip(max=pixels) * outputs)


def _kernel(
    site: Site,
    stem: str,
    window: Fields,
    depth: int,
    pixels: int,
    pointwise: bool,
    distance: int,
    after: After | None,
) -> Kernel | None:
    if any(constant is None for constant in site.constants[1:]):
        return None
    layer = LinearLayer.of(site)
    requant = ProductRequant.of(layer)
    if requant is None:
        return None
    fields = {
        "window": window,
        "input_channels": depth,
        "output_channels": layer.channels,
        "input_zero_point": padding_value(site, layer),
        "pointwise": int(pointwise),
        "requant": requant.fields,
    }
    direct = pointwise and depth % 16 == 0
    parameters = ("const int8_t *input", "int8_t *output", "const int8_t *weights", "const int32_t *requant")
    parameters = parameters if direct else (*parameters, "void *scratch")
    arguments = ["input", "output", "weights", "requant", "NULL" if direct else "scratch"]
    shape = Struct("tc_mve_conv2d_shape", fields)
    callee, header = "tc_mve_conv2d_s8", "tc_mve_conv2d.h"
    comment = "2 pixels and 4 channels at a time, 16 products per instruction."
    function = struct_call(stem, callee, header, parameters, (shape,), comment, arguments)
    groups = -(-layer.taps // 16)
    size = -(-layer.channels // 4) * 4 * groups * 16
    packed = Deferred(size, np.int8, lambda: grouped_weights(layer.matrix))
    weights = Constant("weights", "int8_t", packed, "per 4 channels: 16 taps of each at a time")
    kernel = Kernel(
        "fully_connected_mve" if isinstance(site.node.op, FullyConnected) else "conv2d_mve",
        function,
        (weights, requant.vectors(4)),
        scratch_bytes=0 if direct else 32 * groups,
        instructions=_instructions(layer, window, depth, direct, pointwise),
        code_bytes=500,
        overlap={0: distance},
        notes={"requantisation": requant.plan.form},
        requant=requant.plan.shape_in_code,
    )
    if after is None:
        return kernel
    function = after.function(callee, stem, header, parameters, shape, comment)
    added = pixels * -(-layer.channels // 4) * (3 if after.table else 15)
    return after.kernel(kernel, function, added, 2 * layer.channels)


def _instructions(layer: LinearLayer, window: Fields, depth: int, direct: bool, pointwise: bool) -> int:
    """Counted in QEMU: per two pixels 20 and what copying windows costs, per block of 4 channels 40, per 16 taps 16."""
    blocks, groups = -(-layer.channels // 4), -(-layer.taps // 16)
    rows, columns, height, width = (
        int(str(window[key])) for key in ("kernel_height", "kernel_width", "output_height", "output_width")
    )
    copy = 3 * -(-columns * depth // 16)
    copied = 0 if direct else 5 + copy if pointwise else 20 + rows * (12 + copy * 4 // 3)
    pairs, rest = divmod(height * width, 2)
    partial = 4 if layer.channels % 4 else 0
    pair = 20 + 2 * copied + blocks * (40 + 2 * partial + 16 * groups)
    return pairs * pair + rest * (20 + copied + blocks * (37 + partial + 12 * groups))
