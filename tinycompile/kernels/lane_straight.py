"""Block functions of the byte-lane product that are made for a layer's numbers of inputs and output channels."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.work import Work
from tinycompile.targets.core import Core

LONGEST = 32
"""Groups of 4 inputs without a loop: LDRD reaches their pixels."""

ROUND = 16
"""Groups per round of a loop over more."""

STRB_REACH = 4095


@dataclass(frozen=True)
class Straight:
    """A block function of 4 pixels.

    Attributes:
        groups: of 4 inputs.
        channels: of the output.
    """

    groups: int
    channels: int

    @staticmethod
    def of(groups: int, channels: int) -> Straight | None:
        """None where channels are no pairs, or four pixels lie further apart than STRB reaches."""
        return Straight(groups, channels) if channels >= 2 and 3 * channels < STRB_REACH else None

    @property
    def unrolled(self) -> int:
        return max(1, self.groups - 1) if self.groups <= LONGEST else ROUND

    def name(self, requant: RequantBlock) -> str:
        return requant.name(f"lane_straight_4_{self.groups}x4_{self.channels}")

    def define(self, requant: RequantBlock, core: Core) -> str:
        """The macro's call."""
        macro = "TC_LANE_STRAIGHT_4" if self.groups <= LONGEST else "TC_LANE_ROUNDS_4"
        if core.issue.single_loads:
            macro = "TC_LANE_STRAIGHT_4_SINGLE"
        kind = f"lane_straight_4_{self.groups}x4_{self.channels}"
        return requant.define(macro, kind, self.groups, self.unrolled, self.channels)

    def cost(self, requant: RequantBlock, core: Core) -> Work:
        """Of a block, counted from the assembly."""
        per_output = 3 + 2 * requant.signed + requant.clamp_steps
        loop = 3 * ((self.groups - 1) // self.unrolled) if self.groups > LONGEST else 0
        group = Work(28, 16) if core.issue.single_loads else Work(23, 21)
        pair = 7 + requant.signed + 8 * per_output + loop + (2 if core.issue.single_loads else 0)
        return 12 + -(-self.channels // 2) * (pair + group * self.groups)

    @property
    def code_bytes(self) -> int:
        """Beyond what a block function for any number of inputs has, which other layers share."""
        rest = (self.groups - 1) % self.unrolled
        return 200 + 92 * (1 + rest + (self.unrolled if self.groups > 1 else 0))
