"""Exact integer Winograd convolution F(2x2, 3x3) for cores with the DSP extension (docs/kernels.md).

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.1; with 2G in place
of G all numbers are integers, and the result is 4 times the convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.depthwise_frame import int32_stream, pairs
from tinycompile.kernels.for_halves import together_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call, together
from tinycompile.kernels.hot_code import HotFunction, Loop
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.together import Together
from tinycompile.kernels.work import Work
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

SHIFTS = (6, 4, 2)
"""The accumulators hold 2^pre times the sum: 4 from the transform, the rest from the weights, which have room for it.

The requantisation of layers without an activation needs the larger ones.
"""

LARGEST_DEPTH = 128
"""Input channels: the products are unrolled over them."""

_TWICE_G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])


def transformed(weights: Array) -> Array:
    """(2G) g (2G)' of (C_out, 3, 3, C_in): (C_out, 16, C_in), each within 9 * 128."""
    return np.einsum("iy,oyxc,jx->oijc", _TWICE_G, weights, _TWICE_G).reshape(weights.shape[0], 16, -1)


def stream(u: Array, plan: RequantPlan) -> Array:
    """int32 per pair of output channels: per position and pair of input channels a word for each; their parameters.

    Of every four input channels the first pair is 0 and 2, the second 1 and 3. The last pair of an odd number of
    output channels repeats the one before it.

    Args:
        u: transformed weights (C_out, positions, C_in).
    """
    channels = u.shape[0]
    order = [*range(channels - channels % 2), *([channels - 2, channels - 1] if channels % 2 else [])]
    u = np.pad(u, ((0, 0), (0, 0), (0, -u.shape[2] % 4))).reshape(channels, u.shape[1], -1, 2, 2)
    words = pairs(u[..., 0, :], u[..., 1, :], 0).reshape(channels, -1)
    parameters = np.stack([plan.start, *plan.parameters], axis=1).astype(np.int64)
    blocks = len(order) // 2
    body = words[order].reshape(blocks, 2, -1).transpose(0, 2, 1).reshape(blocks, -1)
    return int32_stream(np.concatenate([body, parameters[order].reshape(blocks, -1)], axis=1))


def windows_of_3(site: Site) -> LinearLayer | None:
    """A convolution's layer, if its windows are 3x3 with stride 1 over all channels and its weights are constant."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or site.constants[1] is None:
        return None
    if sig.inputs[1].shape[1:] != (3, 3, sig.input.shape[3]) or op.stride != (1, 1) or op.dilation != (1, 1):
        return None
    return LinearLayer.of(site)


@kernel_for(Conv2D, needs={"dsp"})
def winograd(site: Site, core: Core) -> Kernel | None:
    """3x3 windows with stride 1, at least two output channels."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D):
        return None
    (_, height, width, depth), (_, out_height, out_width, channels) = sig.input.shape, sig.output.shape
    layer = windows_of_3(site)
    if layer is None:
        return None
    found = _requantized(layer) if channels > 1 and depth <= LARGEST_DEPTH else None
    if found is None:
        return None
    plan, requant = found
    channel_pairs = 2 * -(-depth // 4)
    record = 2 * (16 * channel_pairs + (4 if requant.signed else 3))
    words = Deferred(
        -(-channels // 2) * record, np.int32, lambda: stream(transformed(layer.weights) << (plan.pre - 2), plan)
    )
    edges = bool(out_height % 2 or out_width % 8)
    products = f"winograd_products_{2 * channel_pairs}"
    outputs = requant.name("winograd_outputs")
    shape = {
        "image": {"height": height, "width": width, "channels": depth, "zero_point": layer.zp_in},
        "output_height": out_height,
        "output_width": out_width,
        "output_channels": channels,
        "padding_top": op.padding[0],
        "padding_left": op.padding[2],
        "pair_words": record,
    }
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    function = struct_call(
        f"conv2d_winograd_{height}x{width}x{depth}_{channels}",
        "tc_winograd_s8",
        "tc_winograd.h",
        parameters,
        (Struct("tc_winograd_shape", shape),),
        "Winograd convolution F(2x2, 3x3), 4 tiles and 2 output channels in registers.",
        (*names_of(parameters), products, outputs),
        (
            f"TC_WINOGRAD_PRODUCTS{'_SINGLE' if core.issue.single_loads else ''}({products}, {channel_pairs})",
            requant.define("TC_WINOGRAD_OUTPUTS", "winograd_outputs"),
        ),
    )
    work = _work(out_height, out_width, channel_pairs, channels, requant, core)
    blocks, size = -(-out_height // 2) * -(-out_width // 8), products_bytes(channel_pairs, core)
    return Kernel(
        "conv2d_winograd",
        function,
        (Constant("weights", "int32_t", words, "per pair of channels: transformed weights, start, requantisation"),),
        scratch_bytes=24 + 512 + 256 * channel_pairs + 320 + (16 * channels if edges else 0),
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=700 + 44 * channel_pairs,
        hot=(HotFunction(products, size, (Loop(size, 16 * -(-channels // 2) * blocks),)),),
        sweeps=Sweeps(blocks, between=256 * channel_pairs),
        overlap={0: safe_distance(steps(op, sig.input.shape, sig.output.shape, 2, 8))},
        notes={"requantisation": plan.form},
        requant=plan.shape_in_code,
    )


@together_for(Conv2D)
def winograd_together(site: Site, core: Core) -> Kernel | None:
    """The same by two cores, each with half of the channels; what is left behind the last meeting are edges."""
    kernel = winograd(site, core)
    if kernel is None or kernel.function is None:
        return None
    (_, out_height, out_width, channels) = site.sig.output.shape
    split = Split.of(site.sig.input.shape[3], channels)
    found = _requantized(LinearLayer.of(site))
    if split is None or found is None:
        return None
    around = _work(out_height, out_width, 2 * split.words, 0, found[1], core)
    edges = bool(out_height % 2 or out_width % 8)
    return kernel.but(
        function=together(kernel.function, "tc_winograd_together_s8", "tc_winograd_together.h"),
        scratch_bytes=kernel.scratch_bytes + 512 + 320,
        instructions=split.larger(kernel.instructions, around.instructions),
        cycles=None if kernel.cycles is None else split.larger(kernel.cycles, around.cycles),
        together=Together(2 * -(-out_height // 2) * -(-out_width // 8), split.channels, last_is_copied=edges),
    )


@dataclass(frozen=True)
class Split:
    """Halves of a Winograd layer: of words of four input channels, and of pairs of output channels.

    Attributes:
        channels: of the output, each core's.
    """

    words: int
    pairs: int
    channels: tuple[range, range]

    @staticmethod
    def of(depth: int, channels: int) -> Split | None:
        """None where there are too few pairs: an odd channel is computed with the one before it, by one core."""
        pairs = -(-channels // 2)
        if pairs < 2 + channels % 2:
            return None
        first = pairs // 2 * 2
        return Split(-(-depth // 4), pairs, (range(first), range(first, channels)))

    def larger(self, whole: int, around: int) -> int:
        """Of what both cores execute, of which `around` transforms: the larger half of words, and of pairs."""
        words = self.words - self.words // 2
        return around * words // self.words + (whole - around) * (self.pairs - self.pairs // 2) // self.pairs


def _requantized(layer: LinearLayer) -> tuple[RequantPlan, RequantBlock] | None:
    """A plan with a short form and its part in the code, for the largest factor for which there is one."""
    for pre in SHIFTS:
        if layer.fits(pre):
            plan = layer.solve(pre)
            requant = RequantBlock.of(plan)
            if requant is not None:
                return plan, requant
    return None


def _work(height: int, width: int, channel_pairs: int, channels: int, requant: RequantBlock, core: Core) -> Work:
    """Per block of 4 tiles: the input transform, and per pair of output channels products and outputs."""
    blocks = -(-height // 2) * -(-width // 8)
    outputs = 8 * (62 + 8 * requant.signed + 4 * requant.clamp_steps) + 50
    pair = products_work(16, channel_pairs, core) + 20 + outputs
    return 80 + blocks * (60 + 330 * channel_pairs + -(-channels // 2) * pair)


def products_work(positions: int, channel_pairs: int, core: Core) -> Work:
    """Of the block function that `TC_WINOGRAD_PRODUCTS` defines."""
    pair = Work(14, 8) if core.issue.single_loads else Work(11, 11)
    return positions * (pair * channel_pairs + (8 if core.issue.single_loads else 6))


def products_bytes(channel_pairs: int, core: Core) -> int:
    """Machine code of that function: nearly all of it is the loop over positions."""
    return (56 if core.issue.single_loads else 44) * channel_pairs + 50


def steps(op: Conv2D, x: tuple[int, ...], y: tuple[int, ...], rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """After each block of rows x columns outputs but the last: the first input byte still to be read, and the output
    bytes written so far.
    """
    (_, _, width, depth), (_, out_height, out_width, channels) = x, y
    for row in range(0, out_height, rows):
        for column in range(columns, out_width + columns, columns):
            last = column >= out_width
            lower = min(row + rows, out_height)
            written = lower * out_width if last else (lower - 1) * out_width + column
            first_row = max(0, (row + rows if last else row) * op.stride[0] - op.padding[0])
            first_column = 0 if last else max(0, column * op.stride[1] - op.padding[2])
            if not last or row + rows < out_height:
                yield (first_row * width + first_column) * depth, written * channels
