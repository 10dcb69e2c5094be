"""Convolutions and fully connected layers in portable C: every shape, every core; the fallback of faster kernels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import CodeSize, Function, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, weight_constant, window_fields, window_stem
from tinycompile.kernels.generic_finish import Finish, finish_of
from tinycompile.kernels.generic_overlap import RECENT_SHAPES, channelwise_distance, rowwise_distance, window_distance
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights
from tinycompile.kernels.window_rows import taps_inside
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._spatial import Window
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

REASON = {"reason": "portable C that handles every shape"}


@kernel_for(Conv2D)
def conv2d(site: Site, core: Core) -> Kernel | None:
    """`tc_conv2d_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or not _has_constant_weights(site):
        return None
    window, weights, layer = op.window_of(sig), site.constant(1), LinearLayer.of(site)
    finish = finish_of(site, layer.rule, _bias(site) - layer.weight_sums * sig.input.zero_point, op.clamp)
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "padded": int(any(window.padding)),
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
        "groups": op.groups(sig),
        "input_zero_point": sig.input.zero_point,
        "range": finish.range,
    }
    return Kernel(
        "conv2d_generic",
        _convolution_function(site, op, "conv2d", fields, finish),
        (weight_constant(weights), finish.constant),
        instructions=_on(core, _conv2d_instructions(site, window, finish, core)),
        code_bytes=600,
        code=CodeSize(290),
        overlap={0: window_distance(op.access(sig, 0), sig.input, sig.output)},
        notes={"requantisation": finish.form, **REASON},
    )


@kernel_for(DepthwiseConv2D)
def depthwise(site: Site, core: Core) -> Kernel | None:
    """`tc_depthwise_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or not _has_constant_weights(site):
        return None
    window = op.window_of(sig)
    finish = finish_of(site, LinearLayer.of(site).rule, _bias(site), op.clamp)
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "input_channels": sig.input.shape[3],
        "output_channels": sig.output.shape[3],
        "input_zero_point": sig.input.zero_point,
        "range": finish.range,
    }
    return Kernel(
        "depthwise_generic",
        _convolution_function(site, op, "depthwise", fields, finish),
        (weight_constant(site.constant(1)), finish.constant),
        instructions=_on(core, _depthwise_instructions(site, window, finish)),
        code_bytes=300,
        code=CodeSize(260),
        overlap={0: channelwise_distance(op.access(sig, 0), sig.input, sig.output)},
        notes={"requantisation": finish.form, **REASON},
    )


@kernel_for(FullyConnected)
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """`tc_fully_connected_s8`, or `tc_fully_connected_wide_s8` where the weights are int16."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, FullyConnected) or not _has_constant_weights(site):
        return None
    weights, layer = site.constant(1), LinearLayer.of(site)
    finish = finish_of(site, layer.rule, _bias(site) - layer.weight_sums * sig.input.zero_point, op.clamp)
    outputs, inputs = weights.shape
    rows, per_output = sig.input.elements // inputs, finish.instructions
    fields = {"rows": rows, "inputs": inputs, "outputs": outputs, "range": finish.range}
    wide = has_wide_weights(site)
    function = struct_call(
        f"fully_connected_{rows}x{inputs}_{outputs}",
        "tc_fully_connected_wide_s8" if wide else "tc_fully_connected_s8",
        "tc_fully_connected.h",
        tuple(p.replace("int8_t *weights", "int16_t *weights") if wide else p for p in finish.parameters),
        (Struct("tc_fully_connected_shape", fields),),
        "Fully connected layer, one output at a time."
        if wide
        else "Fully connected layer, up to four outputs at a time.",
        finish.arguments,
    )
    return Kernel(
        "fully_connected_wide" if wide else "fully_connected_generic",
        function,
        (weight_constant(weights), finish.constant),
        instructions=_on(core, rows * (outputs * (per_output + 3) + (outputs // 4 * 11 + outputs % 4 * 5) * inputs)),
        code_bytes=300,
        code=CodeSize(390),
        overlap={0: rowwise_distance(rows, inputs, outputs)},
        notes={"requantisation": finish.form, **REASON},
    )


def _has_constant_weights(site: Site) -> bool:
    return all(constant is not None for constant in site.constants[1:])


def _convolution_function(site: Site, op: Convolution, name: str, fields: Fields, finish: Finish) -> Function:
    return struct_call(
        f"{name}_{window_stem(op.window_of(site.sig), site.sig.input, site.sig.output)}",
        f"tc_{name}_s8",
        f"tc_{name}.h",
        finish.parameters,
        (Struct(f"tc_{name}_shape", fields),),
        f"{op.kind}, straight from its definition.",
        finish.arguments,
    )


def _bias(site: Site) -> Array:
    if len(site.sig.inputs) > 2:
        return site.constant(2).astype(np.int64)
    return np.zeros(site.sig.output.shape[-1], np.int64)


def _on(core: Core, instructions: int) -> int:
    """Thumb-1 takes about three times as many: no indexed signed loads in loops, no multiply-accumulate."""
    return instructions if core.has("multiply_accumulate") else 3 * instructions


def _conv2d_instructions(site: Site, window: Window, finish: Finish, core: Core) -> int:
    """Windows inside the image take four output channels at a time, what is left of these and those at its border go
    tap by tap."""
    sig = site.sig
    _, kh, kw, depth = sig.inputs[1].shape
    _, rows, columns, channels = sig.output.shape
    inside, taps = _windows_inside(window, sig.input.shape[1:3], (rows, columns))
    groups = sig.input.shape[3] // depth
    fours = inside * groups * (channels // groups // 4 * 4)
    single = rows * columns * channels - fours  # outputs
    direct = (kh - 1) * 8 + kh * kw * depth * (13 if core.has("dsp") else 11) // 4
    outside = (rows * columns * kh * kw - taps) * channels
    work = rows * columns * (13 + channels * finish.instructions) + fours * direct
    return work + single * kh * kw * (9 + depth * 27 // 5) - outside * depth * 13 // 10


@lru_cache(RECENT_SHAPES)
def _windows_inside(window: Window, image: tuple[int, ...], made: tuple[int, int]) -> tuple[int, int]:
    """(windows that lie inside the image, taps of all windows that do)."""
    held = [taps_inside(n, window, axis, image[axis]) for axis, n in enumerate(made)]
    whole = [int(np.count_nonzero(taps == size)) for taps, size in zip(held, window.kernel, strict=True)]
    return whole[0] * whole[1], int(held[0].sum()) * int(held[1].sum())


@lru_cache(RECENT_SHAPES)
def _taps_inside(window: Window, image: tuple[int, ...], made: tuple[int, int]) -> tuple[int, int]:
    """Taps of all windows that lie inside the image, along each axis."""
    rows, columns = (int(taps_inside(n, window, axis, image[axis]).sum()) for axis, n in enumerate(made))
    return rows, columns


def _depthwise_instructions(site: Site, window: Window, finish: Finish) -> int:
    """Taps outside the image cost nothing."""
    sig = site.sig
    _, height, width, channels = sig.output.shape
    rows, columns = _taps_inside(window, sig.input.shape[1:3], (height, width))
    loops = rows * width * 5 if window.kernel[0] > 1 else 0
    return channels * (height * width * finish.instructions + loops + rows * columns * 77 // 10)
