"""Exact integer Winograd convolution F(4x4, 3x3) for cores with the DSP extension, or 30 registers (docs/kernels.md).

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.2; with 24G in
place of G all numbers are integers, and the result is 576 times the convolution.
"""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.for_halves import together_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call, together
from tinycompile.kernels.hot_code import HotFunction, Loop
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.together import Together
from tinycompile.kernels.winograd import (
    LARGEST_DEPTH,
    Split,
    products_bytes,
    products_work,
    steps,
    stream,
    windows_of_3,
)
from tinycompile.kernels.work import Work
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

SHIFT, FACTOR = 6, 9
"""The accumulators hold 2^6 * 9 times the sum."""

AROUND_TILES = 76
"""Bytes of the outputs' function in front of its loop and behind it."""

_G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 6]])
"""24G, but for the last row, whose other factor of 4 the output transform has: squared, 24 would leave int16."""


def transformed(weights: Array) -> Array:
    """G g G' of (C_out, 3, 3, C_in): (C_out, 36, C_in), each within 144 * 128."""
    return np.einsum("iy,oyxc,jx->oijc", _G, weights, _G).reshape(weights.shape[0], 36, -1)


@kernel_for(Conv2D, needs={"dsp"})
def winograd4(site: Site, core: Core) -> Kernel | None:
    """3x3 windows with stride 1, a multiple of 4 input channels, at least two output channels."""
    return _kernel(site, core)


@kernel_for(Conv2D, needs={"long_multiply"}, unless={"dsp"})
def winograd4_halves(site: Site, core: Core) -> Kernel | None:
    """The same where a word's halves are multiplied one by one, on cores that have assembly for it."""
    return _kernel(site, core) if core.has("many_registers") or core.has("thumb2") else None


@together_for(Conv2D)
def winograd4_together(site: Site, core: Core) -> Kernel | None:
    """The same by two cores, each with half of the channels (`Split`)."""
    kernel = winograd4(site, core) or winograd4_halves(site, core)
    if kernel is None or kernel.function is None:
        return None
    (_, _, _, depth), (_, out_height, out_width, channels) = site.sig.input.shape, site.sig.output.shape
    rows, split, found = _rows(out_height, out_width), Split.of(depth, channels), _requantized(LinearLayer.of(site))
    if split is None or found is None:
        return None
    around = _work(out_height, out_width, rows, depth, 0, found[1], core)
    edges = 128 * bool(out_height % (4 * rows) or out_width % (16 // rows))
    return kernel.but(
        function=together(kernel.function, "tc_winograd4_together_s8", "tc_winograd4_together.h"),
        scratch_bytes=kernel.scratch_bytes + 4 * (288 + 24 + 12 * (16 // rows + 2)) + edges,
        instructions=split.larger(kernel.instructions, around.instructions),
        cycles=None if kernel.cycles is None else split.larger(kernel.cycles, around.cycles),
        together=Together(2 * _blocks(out_height, out_width, rows), split.channels),
    )


def _kernel(site: Site, core: Core) -> Kernel | None:
    op, sig = site.node.op, site.sig
    (_, height, width, depth), (_, out_height, out_width, channels) = sig.input.shape, sig.output.shape
    layer = windows_of_3(site) if depth % 4 == 0 and depth <= LARGEST_DEPTH and channels > 1 else None
    found = None if layer is None else _requantized(layer)
    if layer is None or found is None or not isinstance(op, Conv2D):
        return None
    plan, requant = found
    rows = _rows(out_height, out_width)
    block_height, block_width = 4 * rows, 16 // rows
    record = 36 * depth + 2 * (4 if requant.signed else 3)
    words = Deferred(-(-channels // 2) * record, np.int32, lambda: stream(transformed(layer.weights), plan))
    products, outputs = f"winograd_products_{depth}", requant.name("winograd4_outputs")
    single = "_SINGLE" if core.issue.single_loads else ""
    macros, header = (f"TC_WINOGRAD_PRODUCTS{single}", f"TC_WINOGRAD4_OUTPUTS{single}"), "tc_winograd4.h"
    if not core.has("dsp"):
        macros, header = ("TC_WINOGRAD_HALVES", "TC_WINOGRAD_HALVES_OUTPUTS"), "tc_winograd_halves.h"
    shape = {
        "height": height,
        "width": width,
        "channels": depth,
        "zero_point": layer.zp_in,
        "output_height": out_height,
        "output_width": out_width,
        "output_channels": channels,
        "padding_top": op.padding[0],
        "padding_left": op.padding[2],
        "tile_rows": rows,
        "pair_words": record,
    }
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    function = struct_call(
        f"conv2d_winograd4_{height}x{width}x{depth}_{channels}",
        "tc_winograd4_s8",
        header,
        parameters,
        (Struct("tc_winograd4_shape", shape),),
        "Winograd convolution F(4x4, 3x3), 4 tiles and 2 output channels in registers.",
        (*names_of(parameters), products, outputs),
        (
            f"{macros[0]}({products}, {depth // 2})",
            requant.define(macros[1], "winograd4_outputs"),
        ),
    )
    work = _work(out_height, out_width, rows, depth, channels, requant, core)
    calls = _blocks(out_height, out_width, rows) * -(-channels // 2)
    edges = bool(out_height % block_height or out_width % block_width)
    window = (block_height + 2) * (block_width + 2)
    return Kernel(
        "conv2d_winograd4",
        function,
        (Constant("weights", "int32_t", words, "per pair of channels: transformed weights, start, requantisation"),),
        scratch_bytes=24 + 4 * (288 + 24 + 72 * depth + 12 * (block_width + 2)) + window * depth + 128 * edges,
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=_code_bytes(depth // 2, requant, core),
        hot=_hot(products, outputs, products_bytes(depth // 2, core), requant, calls) if core.has("dsp") else None,
        sweeps=Sweeps(_blocks(out_height, out_width, rows), between=288 * depth),
        overlap={0: safe_distance(steps(op, sig.input.shape, sig.output.shape, block_height, block_width))},
        notes={"requantisation": plan.form},
        requant=plan.shape_in_code,
    )


def _rows(height: int, width: int) -> int:
    """Of tiles in a block."""
    return min((1, 2), key=lambda rows: _blocks(height, width, rows))


def _blocks(height: int, width: int, rows: int) -> int:
    """Of 4 tiles in so many rows."""
    return -(-height // (4 * rows)) * -(-width // (16 // rows))


def _requantized(layer: LinearLayer) -> tuple[RequantPlan, RequantBlock] | None:
    """A plan with a short form and its part in the code, if sums have room for the factor.

    Inputs are read plus 128, which adds 576 * 128 times the sum of the weights to what accumulates.
    """
    if not layer.fits(SHIFT, FACTOR):
        return None
    more = (FACTOR << SHIFT) * 128 * layer.weight_sums
    plan = layer.solve(SHIFT, more, factor=FACTOR)
    requant = RequantBlock.of(plan)
    return None if requant is None else (plan, requant)


def _code_bytes(channel_pairs: int, requant: RequantBlock, core: Core) -> int:
    if core.has("dsp"):
        return 2000 + 44 * channel_pairs
    if core.has("many_registers"):
        return 3400
    at_once = pairs_at_once(channel_pairs)
    return 2000 + 120 * requant.signed + 112 * at_once * (1 if channel_pairs == at_once else 2)


def _work(height: int, width: int, rows: int, depth: int, channels: int, requant: RequantBlock, core: Core) -> Work:
    """Per block of 4 tiles: window and input transform, and per pair of output channels products and outputs."""
    columns = 16 // rows + 2
    if not core.has("dsp"):
        return _work_of_halves(height, width, rows, depth, channels, requant, core)
    window = (4 * rows + 2) * (60 + columns * depth)
    transform = rows * depth // 4 * (columns * 64 + 12 * (4 // rows) * 40 + 60)
    outputs = 8 * (236 + 4 * (9 * requant.signed + 4 * requant.clamp_steps)) + 50
    edge = 0 if height % (4 * rows) == 0 and width % (16 // rows) == 0 else 260
    pair = products_work(36, depth // 2, core) + 30 + outputs + edge
    return 80 + _blocks(height, width, rows) * (100 + window + transform + -(-channels // 2) * pair)


def _work_of_halves(
    height: int, width: int, rows: int, depth: int, channels: int, requant: RequantBlock, core: Core
) -> Work:
    """The same without SIMD, as GCC compiles all but the products."""
    columns, blocks, pairs = 16 // rows + 2, _blocks(height, width, rows), -(-channels // 2)
    if core.has("many_registers"):
        edge = 0 if height % (4 * rows) == 0 and width % (16 // rows) == 0 else 260
        window = (4 * rows + 2) * (60 + columns * depth)
        transform = rows * depth // 4 * (columns * 80 + 12 * (4 // rows) * 70 + 80)
        products = 36 * (depth * 45 // 2 + 6) + 40
        outputs = 8 * (325 + 43 * requant.signed + 4 * requant.clamp_steps) + 50
    else:
        inside = height // (4 * rows) * (4 * rows) * (width // (16 // rows) * (16 // rows))
        edge = 3 * (height * width - inside) // blocks
        window = (4 * rows + 2) * (50 + columns * depth * 25 // 16)
        transform = rows * depth // 4 * (columns * 72 + 12 * (25 + 4 // rows * 39))
        rounds = depth // 2 // pairs_at_once(depth // 2)
        products = 36 * (14 * depth + (4 if rounds == 1 else 8 + 2 * rounds)) + 12
        outputs = 8 * (302 + 40 * requant.signed + _beside_saturation(requant))
    instructions = 80 + blocks * (100 + window + transform + pairs * (products + outputs + edge))
    return Work(instructions, instructions)


def pairs_at_once(channel_pairs: int) -> int:
    """Pairs of channels in a round of the Cortex-M3's products."""
    return 8 if channel_pairs % 8 == 0 else 2


def _beside_saturation(requant: RequantBlock) -> int:
    """Instructions per tile that the Cortex-M3 takes more than SSAT to 8 bits behind a shift: GCC's comparisons."""
    smallest, largest = (0, 1 << requant.bits) if requant.unsigned else (-1 << requant.bits - 1, 1 << requant.bits - 1)
    low, high = max(requant.low, smallest), min(requant.high, largest - 1)
    clamp = 0 if (low, high) == (-128, 127) else 88 if low else 47 if high & high + 1 else -16
    return clamp - (16 if requant.shift == 0 else 0)


def _hot(
    products: str, outputs: str, products_size: int, requant: RequantBlock, calls: int
) -> tuple[HotFunction, HotFunction]:
    """Both functions are called in turn: a loop over 36 positions, and one over 8 results' tiles."""
    outputs_size = 4 * (236 + 4 * (9 * requant.signed + 4 * requant.clamp_steps))
    tile = outputs_size - AROUND_TILES
    return (
        HotFunction(
            products,
            products_size,
            (Loop(products_size, 35 * calls), Loop(products_size, calls, between=outputs_size)),
        ),
        HotFunction(outputs, outputs_size, (Loop(tile, 7 * calls), Loop(outputs_size, calls, between=products_size))),
    )
