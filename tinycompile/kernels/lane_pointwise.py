"""Pointwise convolution by the byte-lane product in one call: no loop over blocks in C, inputs expanded at offsets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Function, Kernel, Sweeps, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call, window_stem
from tinycompile.kernels.hot_code import HotFunction, nested
from tinycompile.kernels.lane import RECENT_FORMS, Lanes
from tinycompile.kernels.lane_conv2d import (
    PARAMETERS,
    WEIGHTS,
    Blocks,
    block_functions,
    blockwise_distance,
    expansion_cost,
    pair_stream,
    pairs_cost,
)
from tinycompile.kernels.lane_straight import AROUND_EXPANDED, GROUP_BYTES, LARGEST_CODE, Straight, product_bytes
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.work import Work
from tinycompile.lazy import lazy
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


@dataclass(frozen=True, eq=False)
class Pointwise:
    """A layer that is computed like this: what its function and its price follow from.

    Attributes:
        made: the products of a block of 4 pixels.
    """

    site: Site
    op: Conv2D
    lanes: Lanes
    blocks: Blocks
    made: Straight
    core: Core

    @staticmethod
    @lru_cache(RECENT_FORMS)
    def of(site: Site, core: Core) -> Pointwise | None:
        """None where the layer isn't of that kind."""
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
        return Pointwise(site, op, lanes, blocks, made, core)

    @property
    def depth(self) -> int:
        """Input channels."""
        return self.site.sig.input.shape[3]

    @property
    def channels(self) -> int:
        """Of the output."""
        return self.site.sig.output.shape[3]

    @property
    def together(self) -> int:
        """Pairs of channels that are computed in a round."""
        return self.made.pairs

    @lazy
    def shape(self) -> Fields:
        """The members of a `tc_lane_conv2d_shape`."""
        return {
            "input_channels": self.depth,
            "output_channels": self.channels,
            "groups": self.lanes.groups,
            "pair_words": 2 * self.lanes.record,
            "fours": self.blocks.fours,
            "threes": self.blocks.threes,
        }

    @lazy
    def _three(self) -> list[tuple[str, str]]:
        return list(block_functions(self.lanes.requant, [Blocks(0, self.blocks.threes, 0)], self.core).values())

    @property
    def _kind(self) -> str:
        return f"lane_pointwise_{self.depth}_{self.channels}"

    @lazy
    def names(self) -> list[str]:
        """C names of what computes all blocks of 4 pixels, a block of 4, a block of 3; NULL for what isn't needed."""
        return [self.lanes.requant.name(self._kind), "NULL", *([name for name, _ in self._three] or ["NULL"])]

    @lazy
    def definitions(self) -> list[str]:
        """Of these functions."""
        macro = "TC_LANE_POINTWISE_SINGLE" if self.core.issue.single_loads else "TC_LANE_POINTWISE"
        sizes = (self.depth, self.lanes.groups, self.made.unrolled, self.channels)
        return [self.lanes.requant.define(macro, self._kind, *sizes), *(text for _, text in self._three)]

    @lazy
    def stem(self) -> str:
        return window_stem(self.op.window_of(self.site.sig), self.site.sig.input, self.site.sig.output)

    @property
    def scratch_bytes(self) -> int:
        """A block."""
        return 32 * self.lanes.groups

    @lazy
    def expansions(self) -> int:
        """Instructions that expand all blocks once, and call what computes those of 3."""
        threes = 40 + expansion_cost(3, self.lanes.groups, 0, self.depth, by_rows=False)
        found = self.blocks.fours * (17 + 17 * self.lanes.groups) + self.blocks.threes * threes
        return found * self._slowness

    @lazy
    def work(self) -> Work:
        """Of the layer."""
        requant, channels = self.lanes.requant, self.channels
        fours = self.blocks.fours * (-(-channels // 2) * self.made.pair(requant, self.core))
        threes = self.blocks.threes * pairs_cost(3, channels, self.lanes.groups, requant, self.core)
        return (60 + fours + threes) * self._slowness + self.expansions

    @property
    def _slowness(self) -> int:
        return UNALIGNED if self.core.strict and self.depth % 4 else 1

    @lazy
    def code_bytes(self) -> int:
        return _code_bytes(self.made, self.core)

    @lazy
    def hot(self) -> tuple[HotFunction, ...]:
        """All blocks of 4 in one function: each is expanded, then its products follow in a loop."""
        product, expansion = product_bytes(self.made, self.lanes.requant, self.core), 68 * self.made.groups
        rounds = -(-self.channels // (2 * self.made.pairs))
        loops = nested(product, rounds, product + expansion, self.blocks.fours)
        return (HotFunction(self.names[0], AROUND_EXPANDED + expansion + product, loops),)

    @lazy
    def weights(self) -> Constant:
        """The constant array."""
        return Constant("weights", "int32_t", pair_stream(self.lanes), WEIGHTS)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_pointwise(site: Site, core: Core) -> Kernel | None:
    """Windows of a pixel with stride 1 and at most some 80 inputs."""
    layer = Pointwise.of(site, core)
    if layer is None:
        return None
    stem = f"conv2d_pointwise_{layer.stem}"
    function = Function.later(
        stem,
        PARAMETERS,
        lambda: struct_call(
            stem,
            "tc_lane_pointwise_s8",
            "tc_lane_pointwise.h",
            PARAMETERS,
            (Struct("tc_lane_conv2d_shape", layer.shape),),
            "Pointwise convolution by the byte-lane product, all blocks of 4 pixels in one call.",
            (*names_of(PARAMETERS), *layer.names[::2]),
            tuple(layer.definitions),
        ),
    )
    sig, blocks, work = site.sig, layer.blocks, layer.work
    return Kernel(
        "conv2d_pointwise",
        function,
        (layer.weights,),
        scratch_bytes=layer.scratch_bytes,
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=layer.code_bytes,
        hot=layer.hot,
        sweeps=Sweeps(blocks.count, between=layer.scratch_bytes),
        overlap={0: blockwise_distance(layer.op.stride, layer.op.padding, sig.input.shape, sig.output.shape, blocks)},
        notes={"requantisation": layer.lanes.plan.form},
        requant=layer.lanes.plan.shape_in_code,
    )


def _code_bytes(made: Straight, core: Core) -> int:
    """A group's products, and its expansion."""
    return 240 + 68 * made.groups + made.pairs * (120 + GROUP_BYTES[4, core.issue.single_loads] * made.groups)
