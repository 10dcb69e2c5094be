"""Rows times a matrix by the byte-lane product with weights of 4 bits, which are unpacked in registers.

A byte has the weights of two channels for one input. As it is, it serves as a weight of 8 bits for a sum that is 16
times the second channel's and once the first channel's, which is taken out of it in the end (`tc_lane_row_nibbles.h`).
So unpacking takes one instruction for 8 products, and there is half as much to load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.lane import LONG_ROUND, SHORT_ROUND, Rows, channel_stream, row_steps
from tinycompile.kernels.lane_conv2d import PARAMETERS
from tinycompile.kernels.lane_nibbles import fits, nibble_words
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TOGETHER = 8
"""Channels in registers."""

UPPER = 16
"""What the second channel's weights are multiplied by."""


def row_words(matrix: Array) -> Array:
    """Weights (C, K), C a multiple of 8 and K of 4, as int32 (C / 8, K), in the order of `tc_lane_row_nibbles.h`."""
    words = nibble_words(matrix).view(np.uint32) ^ np.uint32(
        0x80008000
    )  # odd inputs: of the second channel w, not w + 8
    blocks = words.reshape(-1, TOGETHER // 2, words.shape[1])
    return blocks.transpose(0, 2, 1).reshape(blocks.shape[0], -1).view(np.int32)


def products_fit(matrix: Array) -> bool:
    """Whether 16 times what the products of a channel add up to stays within int32: 256 (x - 127) for odd inputs."""
    even, odd = matrix[:, 0::2], matrix[:, 1::2]
    high = 127 * even.clip(min=0).sum(axis=1) - 128 * even.clip(max=0).sum(axis=1) - 255 * odd.clip(max=0).sum(axis=1)
    low = 127 * even.clip(max=0).sum(axis=1) - 128 * even.clip(min=0).sum(axis=1) - 255 * odd.clip(min=0).sum(axis=1)
    bound = 2**31 // (UPPER * 256)
    return bool(high.max(initial=0) < bound and low.min(initial=0) >= -bound)


@dataclass(frozen=True, eq=False)
class NibbleRows:
    """Such a layer; `rows` is the same with weights of 8 bits."""

    rows: Rows

    @staticmethod
    def of(site: Site, core: Core, together: int) -> NibbleRows | None:
        """None where the layer isn't of that kind; `together`: groups of 4 inputs in a round of the loop."""
        rows = Rows.of(site, core, together=together) if fits(site) else None
        return NibbleRows(rows) if rows is not None and products_fit(rows.lanes.layer.matrix) else None

    @property
    def block_words(self) -> int:
        """Of the weights of 8 channels."""
        return self.rows.block_words - TOGETHER // 2 * self.rows.lanes.groups

    @property
    def _group(self) -> Work:
        """Of 4 inputs and 8 channels, counted from the assembly."""
        return Work(34, 18) if self.rows.core.issue.single_loads else Work(33, 25)

    @property
    def work(self) -> Work:
        """Of the layer."""
        rows, groups = self.rows, self.rows.lanes.groups
        block = 66 + 24 * rows.lanes.requant.signed + self._group * groups + -(-groups // rows.together) * 3
        return 70 + rows.rows * (50 + 13 * groups + rows.blocks * block)

    @property
    def code_bytes(self) -> int:
        return 420 + 4 * self._group.instructions * self.rows.together

    @property
    def weights(self) -> Constant:
        """The constant array."""
        lanes, blocks = self.rows.lanes, self.rows.blocks

        def stream() -> Array:
            layer = lanes.layer
            rows, columns = TOGETHER * blocks - layer.channels, 4 * lanes.groups - layer.taps
            words = row_words(np.pad(layer.matrix, ((0, rows), (0, columns))))
            none = np.zeros((layer.channels, 0), np.int32)
            return np.concatenate(
                [words, channel_stream(none, lanes.plan, TOGETHER).reshape(blocks, -1)], axis=1
            ).ravel()

        comment = "per 8 channels: words with 4 bits for each weight, starts, requantisation"
        return Constant("weights", "int32_t", Deferred(blocks * self.block_words, np.int32, stream), comment)

    def kernel(self) -> Kernel:
        """All channels of a row, then the next row."""
        rows, requant = self.rows, self.rows.lanes.requant
        long = rows.together == LONG_ROUND
        macro = ("_SINGLE" if rows.core.issue.single_loads else "") + ("_LONG" if long else "")
        kind = "lane_row_nibbles" + ("_long" if long else "")
        function = struct_call(
            f"fully_connected_nibbles{'_long' if long else ''}_{rows.rows}x{rows.inputs}_{rows.outputs}",
            "tc_lane_row_nibbles_s8",
            "tc_lane_row_nibbles.h",
            PARAMETERS,
            (Struct("tc_lane_fully_connected_shape", {**rows.shape, "block_words": self.block_words}),),
            "Fully connected layer by the byte-lane product, 8 channels and unpacked weights of 4 bits in registers.",
            (*names_of(PARAMETERS), requant.name(kind)),
            (requant.define(f"TC_LANE_ROW_NIBBLES{macro}", kind),),
        )
        return Kernel(
            f"fully_connected_nibbles{'_long' if long else ''}",
            function,
            (self.weights,),
            scratch_bytes=rows.scratch_bytes,
            instructions=self.work.instructions,
            cycles=self.work.cycles_on(rows.core),
            code_bytes=self.code_bytes,
            sweeps=Sweeps(rows.rows, between=rows.scratch_bytes),
            overlap={0: safe_distance(row_steps(rows.rows, rows.inputs, rows.outputs, rows.outputs))},
            notes={"requantisation": rows.lanes.plan.form, "weights": "4 bits each, unpacked in registers"},
            requant=rows.lanes.plan.shape_in_code,
        )


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_nibbles(site: Site, core: Core) -> Kernel | None:
    """1 row x 8 channels in registers; the whole row is expanded first."""
    layer = NibbleRows.of(site, core, SHORT_ROUND)
    return None if layer is None else layer.kernel()


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_nibbles_long(site: Site, core: Core) -> Kernel | None:
    """The same with a longer loop, where that saves an instruction for every two bytes that it has more."""
    short, long = (NibbleRows.of(site, core, together) for together in (SHORT_ROUND, LONG_ROUND))
    if short is None or long is None:
        return None
    saved, more = short.work.instructions - long.work.instructions, long.code_bytes - short.code_bytes
    return long.kernel() if 2 * saved >= more else None
