"""Pointwise convolution by the byte-lane product in one call: no loop over blocks in C, inputs expanded at offsets."""

from __future__ import annotations

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Struct, names_of, struct_call, window_stem
from tinycompile.kernels.lane import Lanes
from tinycompile.kernels.lane_conv2d import (
    Blocks,
    block_functions,
    expansion_cost,
    pair_stream,
    pairs_cost,
    safe_steps,
)
from tinycompile.kernels.lane_straight import LARGEST_CODE, Straight
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

LDR_REACH = 4095
"""Largest offset of a load."""

UNALIGNED = 20
"""How many times slower unaligned pixels are on cores that load aligned words only, where portable C computes them."""


def blocks_of(pixels: int, depth: int) -> Blocks | None:
    """Blocks of 4, then of 3 pixels; None without any of 4.

    Where a pixel has no whole words its last word reaches into the next pixel, so there must be one: the last three
    blocks of 4 are four of 3.
    """
    blocks = Blocks.of(pixels)
    if depth % 4 and not blocks.threes and blocks.fours > 3:
        return Blocks(blocks.fours - 3, 4, 0)
    return None if not blocks.fours or blocks.rest or (depth % 4 and not blocks.threes) else blocks


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_pointwise(site: Site, core: Core) -> Kernel | None:
    """Windows of a pixel with stride 1 and at most some 80 inputs."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or site.constants[1] is None or sig.inputs[1].shape[1:3] != (1, 1):
        return None
    depth, (_, out_height, out_width, channels) = sig.input.shape[3], sig.output.shape
    if sig.inputs[1].shape[3] != depth or op.stride != (1, 1) or any(op.padding):
        return None
    blocks, lanes = blocks_of(out_height * out_width, depth), Lanes.of(LinearLayer.of(site))
    if blocks is None or lanes is None or 3 * depth + 4 * lanes.groups > LDR_REACH:
        return None
    made = Straight.of([(4, 1)], lanes.groups, channels).get(4)
    if made is None or _code_bytes(made, core) > LARGEST_CODE:
        return None
    requant, single = lanes.requant, core.issue.single_loads
    shape = {
        "input_channels": depth,
        "output_channels": channels,
        "groups": lanes.groups,
        "pair_words": 2 * lanes.record,
        "fours": blocks.fours,
        "threes": blocks.threes,
    }
    kind = f"lane_pointwise_{depth}_{channels}"
    sizes = (depth, lanes.groups, made.unrolled, channels)
    definition = requant.define("TC_LANE_POINTWISE_SINGLE" if single else "TC_LANE_POINTWISE", kind, *sizes)
    three = block_functions(requant, [Blocks(0, blocks.threes, 0)], core).values()
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    function = struct_call(
        f"conv2d_pointwise_{window_stem(op.window_of(sig), sig.input, sig.output)}",
        "tc_lane_pointwise_s8",
        "tc_lane_pointwise.h",
        parameters,
        (Struct("tc_lane_conv2d_shape", shape),),
        "Pointwise convolution by the byte-lane product, all blocks of 4 pixels in one call.",
        (*names_of(parameters), requant.name(kind), *([name for name, _ in three] or ["NULL"])),
        (definition, *(text for _, text in three)),
    )
    pairs = -(-channels // 2) * made.pair(requant, core)
    threes = 40 + expansion_cost(3, lanes.groups, 0, depth, by_rows=False)
    work = Work(60, 60) + blocks.fours * (17 + 17 * lanes.groups + pairs)
    work += blocks.threes * (threes + pairs_cost(3, channels, lanes.groups, requant, core))
    if core.strict and depth % 4:
        work = work * UNALIGNED
    return Kernel(
        "conv2d_pointwise",
        function,
        (
            Constant(
                "weights", "int32_t", pair_stream(lanes), "per pair of channels: starts, lane words, requantisation"
            ),
        ),
        scratch_bytes=32 * lanes.groups,
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=_code_bytes(made, core),
        overlap={0: safe_distance(safe_steps(op, sig.input.shape, sig.output.shape, blocks))},
        notes={"requantisation": lanes.plan.form},
        requant=lanes.plan.shape_in_code,
    )


def _code_bytes(made: Straight, core: Core) -> int:
    """A group's products, and its expansion."""
    return 360 + (180 if core.issue.single_loads else 160) * made.groups
