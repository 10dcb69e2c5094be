"""Blocks of 2 pixels x 2 channels for cores without SIMD instructions (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, kernel_and_after
from tinycompile.kernels.base import CodeSize, Constant, Deferred, Half, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.for_halves import channels_for, of_channels
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights, padding_value
from tinycompile.kernels.low_bits import offset
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.kernels.window_rows import WindowRows, window_rows
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._spatial import Window
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

BYTE = 8
"""Bits of a weight that has a byte for itself."""


def _finish(core: Core) -> int:
    """Instructions per output of what follows the products."""
    return 10 if core.has("long_multiply") else 40


def paired_weights(matrix: Array) -> Array:
    """(C, K) as uint8 w + 128: [pairs of channels][K, filled up to a multiple of 4][2]."""
    channels, taps = matrix.shape
    filled = np.pad(matrix, ((0, channels % 2), (0, -taps % 4))) + 128
    return filled.reshape(-1, 2, filled.shape[1]).transpose(0, 2, 1).astype(np.uint8).ravel()


def low_bit_weights(matrix: Array, bits: int) -> Array:
    """(C, K) of weights with 4 or 2 bits as uint8: [pairs of channels][K, as `paired_weights`, 4 bits; else K / 2]."""
    channels, taps = matrix.shape
    filled = np.pad(matrix, ((0, channels % 2), (0, -taps % 4))) + offset(bits)
    pairs = filled.reshape(-1, 2, filled.shape[1]).astype(np.uint8)
    both = pairs[:, 0] | pairs[:, 1] << bits
    return both.ravel() if bits == 4 else (both[:, 0::2] | both[:, 1::2] << 4).ravel()


def is_dense(site: Site) -> bool:
    """Whether every output channel of a convolution reads all input channels: no groups, or a single input channel."""
    op, depth = site.node.op, site.sig.input.shape[3]
    return depth == (1 if isinstance(op, DepthwiseConv2D) else site.sig.inputs[1].shape[3])


@kernel_for(Conv2D, unless={"dsp"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _conv2d(site, core)


@cover_for(*PATTERNS, unless={"dsp"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""
    return kernel_and_after(
        site,
        lambda layer, after: _conv2d(layer, core, after),
        lambda layer, after: _fully_connected(layer, core, after),
    )


@kernel_for(Conv2D, unless={"dsp"})
def conv2d_4_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 4 bits, half as large."""
    return _conv2d(site, core, bits=4)


@kernel_for(Conv2D, unless={"dsp"})
def conv2d_2_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 2 bits."""
    return _conv2d(site, core, bits=2)


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected_4_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 4 bits."""
    return _fully_connected(site, core, bits=4)


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected_2_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 2 bits."""
    return _fully_connected(site, core, bits=2)


def _conv2d(site: Site, core: Core, after: After | None = None, *, bits: int = BYTE) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Convolution) or not is_dense(site):
        return None
    window = op.window_of(sig)
    return _kernel(
        site,
        core,
        f"conv2d_block_{window_stem(window, sig.input, sig.output)}",
        window_fields(window, sig.input, sig.output),
        sig.input.shape[3],
        int(np.prod(sig.output.shape[1:3])),
        window_rows(window, sig.input.shape, sig.output.shape),
        pixel_distance(window, sig.input.shape, sig.output.shape),
        after,
        bits=bits,
    )


@kernel_for(FullyConnected, unless={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """A pointwise convolution of its rows."""
    return _fully_connected(site, core)


def _fully_connected(site: Site, core: Core, after: After | None = None, *, bits: int = BYTE) -> Kernel | None:
    if has_wide_weights(site):
        return None
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    first = np.arange(-(-rows // 2))
    distance = ordered_distance((2 * first + 2).clip(max=rows) * inputs, (2 * first + 2).clip(max=rows) * outputs)
    stem = f"fully_connected_block_{rows}x{inputs}_{outputs}"
    read = WindowRows(rows, rows)
    return _kernel(site, core, stem, row_window(rows), inputs, rows, read, distance, after, bits=bits)


def row_window(rows: int) -> dict[str, int]:
    """Members of a `tc_window` that makes every row of a matrix a pixel."""
    size = {"input_height": 1, "input_width": rows, "output_height": 1, "output_width": rows}
    one = {"kernel_height": 1, "kernel_width": 1, "stride_y": 1, "stride_x": 1, "dilation_y": 1, "dilation_x": 1}
    return size | one | {"padding_top": 0, "padding_left": 0}


def _kernel(
    site: Site,
    core: Core,
    stem: str,
    window: Fields,
    depth: int,
    pixels: int,
    rows: WindowRows,
    distance: int,
    after: After | None,
    *,
    bits: int,
) -> Kernel | None:
    if any(constant is None for constant in site.constants[1:]):
        return None
    layer = LinearLayer.of(site)
    if bits != BYTE and not layer.fits_bits(bits):
        return None
    requant = ProductRequant.of(layer, 128 * layer.weight_sums)
    if requant is None:
        return None
    fields = {
        "window": window,
        "input_channels": depth,
        "output_channels": layer.channels,
        "input_zero_point": padding_value(site, layer),
        "requant": requant.fields,
        **({} if bits == BYTE else {"bits": bits}),
    }
    kind = "" if bits == BYTE else f"_{bits}_bits"
    stem += kind
    taps = -(-layer.taps // 4) * 4
    size = -(-layer.channels // 2) * taps * bits // 4

    def packed() -> Array:
        return paired_weights(layer.matrix) if bits == BYTE else low_bit_weights(layer.matrix, bits)

    weights = Constant("weights", "uint8_t", Deferred(size, np.uint8, packed), _layout(bits))
    parameters = ("const int8_t *input", "int8_t *output", "const uint8_t *weights", "const int32_t *channels")
    parameters += ("void *scratch",)
    shape = Struct("tc_block_conv2d_shape", fields)
    callee, header = "tc_block_conv2d_s8", "tc_block_conv2d.h"
    comment = "2 pixels and 2 channels at a time, their sums in registers."
    function = struct_call(stem, callee, header, parameters, (shape,), comment)
    variant = "fully_connected_block" if isinstance(site.node.op, FullyConnected) else "conv2d_block"
    blocks = -(-pixels // 2)
    kernel = Kernel(
        variant + kind,
        function,
        (weights, requant.vectors(1)),
        scratch_bytes=-(-2 * taps // 8) * 8,
        instructions=_instructions(layer, requant, depth, rows, pixels, core, bits),
        code_bytes=900,
        code=CodeSize(280, {f"tc_block_2x2{kind}": 340, "tc_block_copy": 140}),
        sweeps=Sweeps(blocks, between=2 * taps),
        overlap={0: distance},
        notes={"requantisation": requant.plan.form} | ({} if bits == BYTE else {"weights": f"{bits} bits each"}),
        requant=requant.plan.shape_in_code,
        bytewise=True,
    )
    if after is None:
        return kernel
    after_table, after_sum = (2, 9) if core.has("long_multiply") else (4, 20)
    each = after_table if after.table else after_sum
    function = after.function(callee, stem, header, parameters, shape, comment)
    return after.kernel(kernel, function, each * pixels * layer.channels, 2 * layer.channels)


def _instructions(
    layer: LinearLayer, requant: ProductRequant, depth: int, rows: WindowRows, pixels: int, core: Core, bits: int
) -> int:
    blocks, pairs, taps = -(-pixels // 2), -(-layer.channels // 2), -(-layer.taps // 4) * 4
    if bits == BYTE and core.has("multiply_accumulate"):
        return _with_multiply_accumulate(pixels, pairs, taps, requant, depth, rows)
    tap = (9 if core.has("multiply_accumulate") else 14) + 1.5 * (bits == 2)
    copied = 8 if depth % 4 else 3
    return blocks * (2 * taps * copied + pairs * (40 + int(taps * tap) + 4 * _finish(core)))


def _with_multiply_accumulate(
    pixels: int, pairs: int, taps: int, requant: ProductRequant, depth: int, rows: WindowRows
) -> int:
    """`tc_block_2x2` is counted from the assembly; the rest is what `profile` found for some 100 layers on a Cortex-M3,
    to 1 % of nine in ten of them.

    Args:
        pairs: of channels.
    """
    blocks, beyond = -(-pixels // 2), requant.beyond
    products = 16 + taps // 8 * 69 + (32 if taps % 8 else 0)
    total = 90 + pairs * (blocks * (products + 45 + 2 * beyond) + pixels // 2 * (18 + 2 * beyond))
    total += rows.rows * (31 if depth % 4 == 0 else 16) + int(rows.inside * depth * (2.66 if depth % 4 == 0 else 5.2))
    return total + (rows.rows * 25 + rows.gaps * 47 + rows.outside * depth * 7 // 9 if rows.gaps else 0)


def _layout(bits: int) -> str:
    """Of the weights, for the generated code."""
    if bits == BYTE:
        return "w + 128, pairs of channels side by side"
    return "w + 8, pairs of channels in a byte" if bits == 4 else "w + 2, two taps of pairs of channels in a byte"


@lru_cache
def pixel_distance(window: Window, x: tuple[int, ...], y: tuple[int, ...], together: int = 2) -> int:
    """How far an image of shape `x` has to lie in front of results of shape `y` that overwrite it."""
    return safe_distance(pixel_steps(window, x, y, together))


def pixel_steps(window: Window, x: tuple[int, ...], y: tuple[int, ...], together: int = 2) -> Iterator[tuple[int, int]]:
    """After each block of pixels: the first input byte that a later pixel reads, and the output bytes written."""
    row_bytes, (_, _, width, channels) = x[2] * x[3], y
    for done in range(together, y[1] * width, together):
        later_y, later_x = divmod(done, width)
        first_row = max(0, later_y * window.stride[0] - window.padding[0])
        next_row = max(0, (later_y + 1) * window.stride[0] - window.padding[0])
        column = max(0, later_x * window.stride[1] - window.padding[2])
        yield min(first_row * row_bytes + column * x[3], next_row * row_bytes), done * channels


@kernel_for(DepthwiseConv2D, unless={"dsp"})
def depthwise(site: Site, core: Core) -> Kernel | None:
    """An input channel's image, padded, then two outputs of it at a time."""
    return _depthwise(site, core)


@channels_for(DepthwiseConv2D, unless={"dsp"})
def depthwise_channels(site: Site, core: Core, channels: range) -> Half | None:
    """The same for some channels, which leaves the others' memory alone."""
    same = site.sig.input.shape[3] == site.sig.output.shape[3]
    kernel = _depthwise(site, core, len(channels)) if same else None
    return kernel and of_channels(kernel, site, channels)


def _depthwise(site: Site, core: Core, computed: int = 0) -> Kernel | None:
    """`computed`: channels; 0 for all."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or any(constant is None for constant in site.constants[1:]):
        return None
    (_, height, width, channels), (_, out_height, out_width, outputs) = sig.input.shape, sig.output.shape
    layer = LinearLayer.of(site)
    requant = ProductRequant.of(layer, 128 * layer.weight_sums)
    if requant is None:
        return None
    window = op.window_of(sig)
    reach = [(taps - 1) * dilation + 1 for taps, dilation in zip(window.kernel, window.dilation, strict=True)]
    plane_height = max((out_height - 1) * window.stride[0] + reach[0], window.padding[0])
    plane_width = max((out_width - 1) * window.stride[1] + reach[1], window.padding[2])
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "input_channels": channels,
        "output_channels": outputs,
        **({"channels": computed} if computed else {}),
        "plane_height": plane_height,
        "plane_width": plane_width,
        "input_zero_point": layer.zp_in,
        "requant": requant.fields,
    }
    function = struct_call(
        f"depthwise_block_{window_stem(window, sig.input, sig.output)}{f'_of_{computed}' if computed else ''}",
        "tc_block_depthwise_s8",
        "tc_block_depthwise.h",
        ("const int8_t *input", "int8_t *output", "const int8_t *weights", "const int32_t *channels")
        + ("void *scratch",),
        (Struct("tc_block_depthwise_shape", fields),),
        "Depthwise convolution channel by channel, two outputs at a time.",
    )
    weights = layer.matrix.astype(np.int8).ravel()
    if core.has("multiply_accumulate"):
        instructions = _depthwise_instructions(site, window, (plane_height, plane_width), requant)
    else:
        per_output = 4 * layer.taps + layer.taps // 2 + _finish(core) + 8
        instructions = channels * height * width * 9 + outputs * out_height * out_width * per_output
    return Kernel(
        "depthwise_block",
        function,
        (Constant("weights", "int8_t", weights, "channel by channel"), requant.vectors(1)),
        scratch_bytes=-(-(4 * layer.taps + plane_height * plane_width) // 8) * 8,
        instructions=instructions * (computed or outputs) // outputs,
        code_bytes=600,
        code=CodeSize(340 + out_width % 2 * 130),
        sweeps=Sweeps(1),
        in_place=sig.input.shape == sig.output.shape,
        notes={"requantisation": requant.plan.form},
        requant=requant.plan.shape_in_code,
    )


def _depthwise_instructions(site: Site, window: Window, plane: tuple[int, int], requant: ProductRequant) -> int:
    """With a multiply-accumulate: what `profile` found for some 120 layers on a Cortex-M3, to 4 % of nine in ten.

    Per channel its taps and its image, then rows of pairs of outputs. A window of one row has its taps in registers; a
    row of a single pair has no loop, and GCC writes out a small window of it.
    """
    (_, height, width, channels), (_, out_height, out_width, outputs) = site.sig.input.shape, site.sig.output.shape
    (kh, kw), far = window.kernel, int(window.stride[1] > 1)
    rows, columns = (min(size, plane[axis] - window.padding[2 * axis]) for axis, size in enumerate((height, width)))
    pairs, odd = divmod(out_width, 2)
    if kh == 1:
        row = 2 + pairs * (26.5 + (3.3 + 0.3 * far) * kw) + odd * 4 * kw
    else:
        alone = pairs == 1 and not odd
        pair = 37 + 2.15 * kh + 4.33 * kh * kw + 2.5 * kh * far - (9.5 if alone and kh * kw <= 9 else 0)
        row = (0 if alone else 14) + pairs * pair + odd * (2 + 4.5 * kh + 3 * kh * kw)
    each = 15 + 4 * kh * kw + out_height * (row + out_width * requant.beyond)
    return int(100 + channels * rows * (6 + 5 * columns) + outputs * each)
