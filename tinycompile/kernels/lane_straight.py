"""Block functions of the byte-lane product that are made for a layer's numbers of inputs and output channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.kernels.hot_code import HotFunction, Loop, nested
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.work import Work
from tinycompile.targets.core import Core

LARGEST_CODE = 3600
"""Bytes of a block function whose text the assembler repeats. GCC counts it once when it places the constants that the
function is called with, behind it, where loads reach 4,095 bytes.
"""

LONGEST = 28
"""Groups of 4 inputs without a loop, of up to 28 instructions each."""

ROUND = 14
"""Groups per round of a loop over more, beside at most as many before the first round."""

STRB_REACH = 4095

GROUP_BYTES = {(4, False): 92, (3, False): 68, (4, True): 112, (3, True): 88}
"""Machine code of the products of a group, by the block's pixels and `Issue.single_loads`."""

AROUND_BYTES = 52
"""Of a function, in front of its loop and behind it."""

AROUND_EXPANDED = 84
"""The same where it expands blocks as well."""

FEW = 8
"""Groups with which a round of the loop over pairs of channels has two of them, where that divides them."""

SHARE = 5
"""A size of blocks of which there is one in so many at least has a function made for it."""


@dataclass(frozen=True)
class Straight:
    """A block function.

    Attributes:
        pixels: 4 or 3.
        groups: of 4 inputs.
        channels: of the output.
    """

    pixels: int
    groups: int
    channels: int

    @staticmethod
    def of(blocks: Sequence[tuple[int, int]], groups: int, channels: int) -> dict[int, Straight]:
        """By pixels, for the sizes of `blocks`, (pixels, how many), that make up much of the layer.

        None where channels are no pairs, or the pixels of a block lie further apart than STRB reaches.
        """
        if channels < 2 or 3 * channels >= STRB_REACH:
            return {}
        total = sum(count for _, count in blocks)
        return {pixels: Straight(pixels, groups, channels) for pixels, count in blocks if SHARE * count >= total}

    @property
    def unrolled(self) -> int:
        return max(1, self.groups - 1) if self.groups <= LONGEST else ROUND

    @property
    def pairs(self) -> int:
        """Of channels, per round of the loop over them."""
        return 2 if self.pixels == 4 and self.groups <= FEW and self.channels % 4 == 0 else 1

    def define(self, requant: RequantBlock, core: Core) -> tuple[str, str]:
        """Its name, and the macro's call."""
        macro = "STRAIGHT_4" if self.pixels == 4 and self.groups <= LONGEST else f"ROUNDS_{self.pixels}"
        if core.issue.single_loads:
            macro = "STRAIGHT_4_SINGLE" if self.pixels == 4 else "ROUNDS_3_SINGLE"
        elif core.issue.dual_issue and self.pixels == 3:
            macro = "ROUNDS_3_DUAL"
        kind = f"lane_straight_{self.pixels}_{self.groups}x4_{self.channels}"
        return requant.name(kind), requant.define(f"TC_LANE_{macro}", kind, self.groups, self.unrolled, self.channels)

    def cost(self, requant: RequantBlock, core: Core) -> Work:
        """Of a block, counted from the assembly."""
        return 12 + -(-self.channels // 2) * self.pair(requant, core)

    def pair(self, requant: RequantBlock, core: Core) -> Work:
        """Of a pair of channels, counted from the assembly."""
        outputs = 2 * self.pixels
        finish = (3 + 2 * requant.signed) * outputs + requant.clamp_steps * (1 + outputs // 2)
        loop = (self.pixels - 1) * ((self.groups - 1) // self.unrolled) if self.groups > LONGEST else 0
        single, others = (Work(28, 16), Work(23, 21)) if self.pixels == 4 else (Work(22, 12), Work(19, 16))
        group = single if core.issue.single_loads else others
        around = 3 + requant.signed + 2 * core.issue.single_loads + 3 / self.pairs
        return Work(0, 0) + math.ceil(around) + requant.start_steps + finish + loop + group * self.groups

    @property
    def code_bytes(self) -> int:
        """Beyond what a block function for any number of inputs has, which other layers share."""
        groups = 1 + (self.groups - 1) % self.unrolled + (self.unrolled if self.groups > 1 else 0)
        return 100 + self.pairs * (100 + (92 if self.pixels == 4 else 76) * groups)

    def hot(self, requant: RequantBlock, core: Core, blocks: int) -> HotFunction:
        """Its loops where a layer has so many blocks: over pairs of channels, and over groups where there are many."""
        rounds, around = blocks * -(-self.channels // (2 * self.pairs)), self.pairs * self.finish_bytes(requant)
        group = GROUP_BYTES[self.pixels, core.issue.single_loads]
        if self.groups <= LONGEST:
            whole = around + self.pairs * group * self.groups
            loops = (Loop(whole, rounds),)
        else:
            inner, before = group * self.unrolled, group * (1 + (self.groups - 1) % self.unrolled)
            turns = (self.groups - 1) // self.unrolled
            whole = around + before + inner
            loops = nested(inner, turns, whole, rounds)
        return HotFunction(self.define(requant, core)[0], AROUND_BYTES + whole, loops)

    def finish_bytes(self, requant: RequantBlock) -> int:
        """Machine code of a pair's start and requantisation: as GCC's object files have it."""
        start = 120 if self.pixels == 4 else 76
        return start + 4 * (4 * self.pixels * requant.signed + (1 + self.pixels) * requant.clamp_steps)


def product_bytes(made: Straight, requant: RequantBlock, core: Core) -> int:
    """Machine code of a round over pairs of channels in a function that expands its blocks as well."""
    return made.pairs * (made.finish_bytes(requant) + GROUP_BYTES[4, core.issue.single_loads] * made.groups)
