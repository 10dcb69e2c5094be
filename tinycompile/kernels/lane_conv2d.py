"""Convolution by the byte-lane product: blocks of 4 or 3 pixels x 2 channels in registers (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Signature, Site
from tinycompile.kernels.base import Constant, Deferred, Function, Kernel, kernel_for, safe_distance
from tinycompile.kernels.lane import Epilogue, Lanes
from tinycompile.kernels.linear import LinearLayer
from tinycompile.kernels.render import Later
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

SHORTEST_BY_ROWS = 16
"""Bytes of a window's row from which on it pays to expand windows row by row, straight from the image."""


ORDERS = {"m7": "m7", "m55": "m7"}
"""By pipeline, for which one the block's loads are ordered; "m4" for those that issue one instruction at a time."""


@dataclass(frozen=True)
class Blocks:
    """How the output pixels, in memory order, are divided.

    Attributes:
        fours, threes: blocks of 4 pixels, then of 3.
        rest: pixels of a last block of 3 that isn't full: with blocks of both sizes only 1, 2 and 5 pixels leave any.
    """

    fours: int
    threes: int
    rest: int

    @staticmethod
    def of(pixels: int, *, small: bool = False) -> Blocks:
        """`small`: no blocks of 4, which need more scratch."""
        threes = pixels // 3 if small else min(-pixels % 4, pixels // 3)
        if small:
            return Blocks(0, threes, pixels % 3)
        fours = (pixels - 3 * threes) // 4
        return Blocks(fours, threes, pixels - 4 * fours - 3 * threes)

    @property
    def sizes(self) -> list[int]:
        return [4] * self.fours + [3] * self.threes + ([self.rest] if self.rest else [])

    @property
    def largest(self) -> int:
        return 4 if self.fours else 3


def pair_stream(lanes: Lanes) -> tuple[Deferred, int]:
    """The weights in pairs of channels, and the words up to the end of the pairs that lie side by side.

    The last pair of an odd number of channels repeats the channel before it (itself, if there is only one).
    """
    channels = lanes.layer.channels
    order = list(range(channels))
    if channels % 2:
        order[-1:] = [max(0, channels - 2), channels - 1]
    return lanes.stream(2, np.array(order)), 2 * lanes.record * max(1, channels // 2)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _kernel(site, core, "conv2d_lane")


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_small(site: Site, core: Core) -> Kernel | None:
    """The same with blocks of 3 pixels only, which take three quarters of the scratch."""
    return _kernel(site, core, "conv2d_lane_small", small=True, shortest_by_rows=4)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_short_rows(site: Site, core: Core) -> Kernel | None:
    """Windows expanded row by row even where a row is short, so that only one row of them takes scratch."""
    if site.sig.inputs[1].shape[2] * site.sig.input.shape[3] >= SHORTEST_BY_ROWS:
        return None
    return _kernel(site, core, "conv2d_lane_short_rows", shortest_by_rows=4)


def _kernel(
    site: Site, core: Core, variant: str, *, small: bool = False, shortest_by_rows: int = SHORTEST_BY_ROWS
) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or site.constants[1] is None:
        return None
    if sig.input.shape[3] != sig.inputs[1].shape[3]:
        return None
    layer = LinearLayer.of(site)
    lanes = Lanes.of(layer)
    if lanes is None:
        return None
    groups, epilogue = lanes.groups, lanes.epilogue
    stream, pair_words = pair_stream(lanes)
    (_, height, width, depth), (_, out_height, out_width, channels) = sig.input.shape, sig.output.shape
    kernel_height, kernel_width = layer.weights.shape[1:3]
    gathers = (kernel_height, kernel_width, *op.stride) != (1, 1, 1, 1) or any(op.padding)
    blocks = Blocks.of(out_height * out_width, small=small)
    segment = kernel_width * depth
    by_rows = segment % 4 == 0 and segment >= shortest_by_rows
    spacing = segment if by_rows else 4 * groups
    window_bytes = max(blocks.largest * spacing, 4 * groups if blocks.rest else 0) if gathers else 0
    stride = max(2, channels)
    # The results of a block that isn't written in place lie where its window was.
    result_bytes = stride * blocks.largest if blocks.rest or channels == 1 else 0
    used = [pixels for pixels, count in ((4, blocks.fours), (3, blocks.threes + blocks.rest)) if count]
    body = Later(
        "kernels/lane_conv2d.c.j2",
        shape=_window_shape(op, layer, sig, spacing, by_rows=by_rows),
        segment=segment,
        taps=layer.taps,
        groups=groups,
        entry=entry(groups),
        stride=stride,
        gathers=gathers,
        fours=blocks.fours,
        threes=blocks.threes,
        rest=blocks.rest,
        four=epilogue.name("lane_block_4"),
        three=epilogue.name("lane_block_3"),
        block_words=2 * blocks.largest * groups,
        results=result_bytes,
        pair_words=pair_words,
        weight_words=stream.size,
    )
    function = Function(
        stem=f"conv2d_lane_{kernel_height}x{kernel_width}_{height}x{width}x{depth}_{channels}",
        parameters=("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch"),
        text=body,
        headers=("kernels/tc_lane_conv2d.h",) if gathers else ("kernels/tc_lane.h",),
        comment="Convolution by the byte-lane product, 4 or 3 pixels and 2 channels in registers.",
        preambles=tuple(_block_source(epilogue, pixels, core) for pixels in used),
    )
    return Kernel(
        variant,
        function,
        (Constant("weights", "int32_t", stream, "per pair of channels: starts, lane words, requantisation"),),
        scratch_bytes=8 * blocks.largest * groups + max(window_bytes, result_bytes),
        instructions=_instructions(blocks, layer, groups, epilogue, kernel_height if gathers else 0, segment, by_rows),
        code_bytes=500,
        overlap={0: safe_distance(_steps(op, sig.input.shape, sig.output.shape, blocks))},
        notes={"requantisation": lanes.plan.form},
        requant=lanes.plan.shape_in_code,
    )


def _window_shape(op: Conv2D, layer: LinearLayer, sig: Signature, spacing: int, *, by_rows: bool) -> dict[str, int]:
    """The members of a `tc_lane_conv2d_shape`: which inputs a window has, and where it is expanded to."""
    (_, height, width, depth), (_, _, out_width, channels) = sig.input.shape, sig.output.shape
    kernel_height, kernel_width = layer.weights.shape[1:3]
    return {
        "input_height": height,
        "input_width": width,
        "input_channels": depth,
        "output_width": out_width,
        "output_channels": channels,
        "kernel_height": kernel_height,
        "kernel_width": kernel_width,
        "stride_y": op.stride[0],
        "stride_x": op.stride[1],
        "dilation_y": op.dilation[0],
        "dilation_x": op.dilation[1],
        "padding_top": op.padding[0],
        "padding_left": op.padding[2],
        "zero_point": layer.zp_in,
        "by_rows": int(by_rows),
        "spacing": spacing,
    }


def _block_source(epilogue: Epilogue, pixels: int, core: Core) -> Later:
    return epilogue.source(
        "lane_block", f"lane_block_{pixels}", pixels=pixels, schedule=ORDERS.get(core.pipeline, "m4")
    )


def entry(groups: int) -> int:
    """Where the block function enters its loop of 4 groups after the first group; 0 where there is no other."""
    return 0 if groups == 1 else (groups - 2) % 4 + 1


def _instructions(
    blocks: Blocks, layer: LinearLayer, groups: int, epilogue: Epilogue, window_rows: int, segment: int, by_rows: bool
) -> int:
    """Counted from the assembly: per pair of channels, and per group of 4 inputs of each block."""
    pairs = -(-layer.channels // 2)
    rounds = -(-max(0, groups - 1) // 4)
    per_output = 3 + (2 if epilogue.signed else 0) + len(epilogue.clamp)
    total = 60
    for pixels, count in ((4, blocks.fours), (3, blocks.threes + (1 if blocks.rest else 0))):
        pair = (12 if pixels == 4 else 10) + per_output * 2 * pixels
        pair += (23 if pixels == 4 else 19) * groups + (3 if pixels == 4 else 2) * rounds
        expand = 30 + (20 if pixels == 4 else 15) * groups
        if window_rows and by_rows:
            expand += window_rows * 50
        elif window_rows:
            words = segment // 4 + (0, 1, 1, 2)[segment % 4]
            expand += 40 + window_rows * (12 + 2 * pixels * words)
        total += count * (40 + expand + pairs * pair)
    return total


def _steps(op: Conv2D, x: tuple[int, ...], y: tuple[int, ...], blocks: Blocks) -> Iterator[tuple[int, int]]:
    """After each block: the first input byte that a later pixel reads, and the output bytes written so far."""
    row_bytes, (_, _, width, channels) = x[2] * x[3], y
    done = 0
    for size in blocks.sizes[:-1]:
        done += size
        later_y, later_x = divmod(done, width)
        first_row = max(0, later_y * op.stride[0] - op.padding[0])
        next_row = max(0, (later_y + 1) * op.stride[0] - op.padding[0])
        column = max(0, later_x * op.stride[1] - op.padding[2])
        yield min(first_row * row_bytes + column * x[3], next_row * row_bytes), done * channels
