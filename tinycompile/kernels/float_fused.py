"""float32 layers for an FPU that multiplies and adds with one rounding: eight results side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_layers import bounds_fields, distance_in_bytes
from tinycompile.kernels.float_ops import IN_OUT, has_float_constants
from tinycompile.kernels.generic_c import Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import ordered_distance, window_distance
from tinycompile.ops._spatial import Window
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

LANES = 8
"""Results that are computed side by side; the last ones may be half as many."""
_ONE_PIXEL = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0))
_NOTES = {"reason": "float32, eight results side by side, fused multiply-add"}


@kernel_for(Conv2D, dtype=FLOAT32, needs={"fpu"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """`tc_float_conv2d_fused`; None for several groups."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or op.groups(sig) != 1 or not has_float_constants(site):
        return None
    window = op.window_of(sig)
    stem = f"float_conv2d_{window_stem(window, sig.input, sig.output)}"
    return _convolution(site, window, sig.input, sig.output, op.bounds, stem)


@kernel_for(FullyConnected, dtype=FLOAT32, needs={"fpu"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """The same: rows are pixels of an image that is one row."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected) or not has_float_constants(site):
        return None
    outputs, inputs = sig.inputs[1].shape
    rows = sig.input.elements // inputs
    x, y = (replace(t, shape=(1, 1, rows, depth)) for t, depth in ((sig.input, inputs), (sig.output, outputs)))
    return _convolution(site, _ONE_PIXEL, x, y, op.bounds, f"float_fully_connected_{rows}x{inputs}_{outputs}")


def _convolution(
    site: Site, window: Window, x: TensorType, y: TensorType, bounds: tuple[float, float], stem: str
) -> Kernel:
    weights, outputs = site.constant(1), y.shape[3]
    taps = weights.size // outputs
    matrix = weights.reshape(outputs, taps).T
    pixels = y.shape[1] * y.shape[2]
    bounded = 7 * outputs if np.any(np.isfinite(bounds)) else 0
    if not _is_pointwise(window):
        per_pixel = -(-outputs // LANES) * (30 + 16 * window.kernel[0] + taps * 10) + outputs * 2 + bounded
        return _kernel(site, "conv2d", stem, window, x, y, bounds, matrix, pixels * per_pixel)
    per_pixel = 10 + -(-outputs // LANES) * (15 + taps * 19 // 2) + bounded
    kernel = _kernel(site, "conv2d", stem, window, x, y, bounds, matrix, pixels * per_pixel)
    # Of two pixels beside each other the first one's input is read while both are written.
    pixel = np.arange(x.shape[0] * pixels)
    reads, written = 4 * taps * (pixel - 1).clip(min=0), 4 * outputs * (pixel + 1)
    return replace(kernel, overlap={0: ordered_distance(reads, written)})


def _is_pointwise(window: Window) -> bool:
    """`tc_float_is_pointwise`."""
    return window.kernel == (1, 1) and window.stride == (1, 1) and not any(window.padding)


@kernel_for(DepthwiseConv2D, dtype=FLOAT32, needs={"fpu"})
def depthwise(site: Site, core: Core) -> Kernel | None:
    """`tc_float_depthwise_fused`; None with a multiplier, or a number of channels that isn't a multiple of four."""
    op, sig = site.node.op, site.sig
    channels = sig.input.shape[3]
    if not isinstance(op, DepthwiseConv2D) or not has_float_constants(site):
        return None
    if sig.output.shape[3] != channels or channels % 4:
        return None
    window, weights = op.window_of(sig), site.constant(1)
    rows, columns = window.kernel
    per_pixel = channels // 4 * (40 + rows * (20 + columns * 7))
    work = sig.output.shape[1] * sig.output.shape[2] * per_pixel
    taps = weights.reshape(rows * columns, channels)
    stem = f"float_depthwise_{window_stem(window, sig.input, sig.output)}"
    return _kernel(site, "depthwise", stem, window, sig.input, sig.output, op.bounds, taps, work)


def _kernel(
    site: Site,
    name: str,
    stem: str,
    window: Window,
    x: TensorType,
    y: TensorType,
    bounds: tuple[float, float],
    weights: Array,
    work: int,
) -> Kernel:
    """`tc_float_<name>_fused`.

    Args:
        stem: of the function's name.
        weights: (taps, output channels), in the order in which the products of an output are added.
        work: estimated instructions of one image.
    """
    outputs = weights.shape[1]
    fields = {
        "window": window_fields(window, x, y),
        "batch": x.shape[0],
        "input_channels": x.shape[3],
        "output_channels": outputs,
        "bounds": bounds_fields(bounds),
    }
    bias = site.constant(2) if len(site.sig.inputs) > 2 else np.zeros(outputs)
    padded = np.pad(bias, (0, -outputs % 4)).astype(np.float32)
    function = struct_call(
        stem,
        f"tc_float_{name}_fused",
        "tc_float_fused.h",
        (*IN_OUT, "const float *weights", "const float *bias"),
        (Struct("tc_float_fused_shape", fields),),
        f"{site.node.op.kind} of floats, eight outputs side by side.",
    )
    return Kernel(
        f"{name}_float_fused",
        function,
        (
            Constant("weights", "float", in_blocks(weights), f"float32[{weights.shape[0]}][{outputs}], in blocks"),
            Constant("bias", "float", padded, f"float32[{outputs}]"),
        ),
        instructions=50 + x.shape[0] * work,
        code_bytes=700,
        overlap=distance_in_bytes(window_distance, window.access(None), replace(site.sig, inputs=(x,), outputs=(y,))),
        notes=_NOTES,
    )


def in_blocks(weights: Array) -> Array:
    """Columns of (taps, outputs) eight by eight, the last four or fewer as four, shape (n,)."""
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % 4))).astype(np.float32)
    starts = range(0, padded.shape[1], LANES)
    return np.concatenate([padded[:, start : start + LANES].ravel() for start in starts])
