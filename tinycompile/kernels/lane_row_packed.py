"""Rows times a matrix by the byte-lane product with weights of 4 or 2 bits, which are unpacked in registers.

A byte has the weights of two channels for one input, or of four. As it is, it serves as a weight of 8 bits for a sum
that is 16 times the second channel's and once the first channel's, which is taken out of it in the end
(`tc_lane_row_packed.h`). So unpacking takes one instruction for 8 products, and there is half as much to load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call
from tinycompile.kernels.lane import LONG_ROUND, PRE, SHORT_ROUND, PartLanes, Rows, channel_stream, row_steps
from tinycompile.kernels.lane_conv2d import PARAMETERS
from tinycompile.kernels.low_bits import fits, shared_words
from tinycompile.kernels.work import Work
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TOGETHER = 8
"""Channels in registers."""

PART = 64
"""Groups of 4 inputs of which any weights make differences that fit: a whole number of rounds, as the C knows."""


def row_words(matrix: Array, bits: int) -> Array:
    """Weights (C, K), C a multiple of 8 and K of 4, as int32 (C / 8, K bits / 4), in `tc_lane_row_packed.h`'s order."""
    words = shared_words(matrix, bits) ^ np.uint32(0x80008000)  # odd inputs: of the last channel w, not w + 8
    blocks = words.reshape(-1, bits, words.shape[1])
    return blocks.transpose(0, 2, 1).reshape(blocks.shape[0], -1).view(np.int32)


def products_fit(matrix: Array, bits: int) -> bool:
    """Whether all differences fit in int32: 16 times 256 times what the products of the second channel add up to.

    An odd input is multiplied as x - 127. The first channel's sum may wrap.
    """
    even, odd = matrix[:, 0::2], matrix[:, 1::2]
    high = 127 * even.clip(min=0).sum(axis=1) - 128 * even.clip(max=0).sum(axis=1) - 255 * odd.clip(max=0).sum(axis=1)
    low = 127 * even.clip(max=0).sum(axis=1) - 128 * even.clip(min=0).sum(axis=1) - 255 * odd.clip(min=0).sum(axis=1)
    place = np.arange(len(matrix)) % (8 // bits)
    bound = np.where(place == 0, 2**62, 2 ** (31 - PRE - bits * place))
    return bool(np.all(high < bound) and np.all(low >= -bound))


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Such a layer; `rows` is the same with weights of 8 bits.

    Attributes:
        bits: of a weight.
        parts: in which a row is multiplied, 1 if it is as a whole.
    """

    rows: Rows
    bits: int
    parts: int

    @staticmethod
    def of(site: Site, core: Core, bits: int, together: int) -> PackedRows | None:
        """None where the layer isn't of that kind; `together`: groups of 4 inputs in a round of the loop."""
        rows = Rows.of(site, core, together=together) if fits(site, bits) else None
        if rows is None or isinstance(rows.lanes, PartLanes):
            return None
        whole = products_fit(rows.lanes.layer.matrix, bits)
        return PackedRows(rows, bits, 1 if whole else -(-rows.lanes.groups // PART))

    @property
    def block_words(self) -> int:
        """Of the weights of 8 channels."""
        return self.rows.block_words - (TOGETHER - self.bits) * self.rows.lanes.groups

    @property
    def scratch_bytes(self) -> int:
        """A row, expanded, and what fills it up to whole rounds."""
        return 8 * -(-self.rows.lanes.groups // self.rows.together) * self.rows.together

    @property
    def _by_one(self) -> bool:
        """Whether only loads of one word stand beside others."""
        return self.rows.core.issue.single_loads

    @property
    def _by_two(self) -> bool:
        """Whether the row comes by way of the FPU's registers, and two words of weights at once."""
        return self.bits == 4 and not self._by_one and self.rows.core.has("fpu")

    @property
    def _group(self) -> Work:
        """Of 4 inputs and 8 channels, counted from the assembly."""
        if self._by_one:
            return Work(34, 18)
        return Work(31, 31) if self._by_two else Work(33, 33)

    @property
    def work(self) -> Work:
        """Of the layer."""
        rows, groups = self.rows, self.rows.lanes.groups
        between = 5 if self._by_two else 3
        block = 62 + 24 * rows.lanes.requant.signed + self._group * groups + -(-groups // rows.together) * between
        if self.parts > 1:
            block += 20 + self.parts * (6 * TOGETHER // (8 // self.bits) * (8 // self.bits - 1))
        return 80 + rows.rows * (50 + 11 * groups + rows.blocks * block)

    @property
    def code_bytes(self) -> int:
        return 420 + 4 * self._group.instructions * self.rows.together + 100 * (self.parts > 1)

    @property
    def weights(self) -> Constant:
        """The constant array."""
        lanes, blocks = self.rows.lanes, self.rows.blocks

        def stream() -> Array:
            layer = lanes.layer
            rows, columns = TOGETHER * blocks - layer.channels, 4 * lanes.groups - layer.taps
            words = row_words(np.pad(layer.matrix, ((0, rows), (0, columns))), self.bits)
            none = np.zeros((layer.channels, 0), np.int32)
            return np.concatenate(
                [words, channel_stream(none, lanes.plan, TOGETHER).reshape(blocks, -1)], axis=1
            ).ravel()

        comment = f"per 8 channels: words with {self.bits} bits for each weight, starts, requantisation"
        return Constant("weights", "int32_t", Deferred(blocks * self.block_words, np.int32, stream), comment)

    @property
    def shape(self) -> Fields:
        """The members of a `tc_lane_row_packed_shape`."""
        rows, groups = self.rows, self.rows.lanes.groups
        return {
            "rows": rows.rows,
            "inputs": rows.inputs,
            "outputs": rows.outputs,
            "block_words": self.block_words,
            "bits": self.bits,
            "round": rows.together,
            "first": groups - (self.parts - 1) * PART if self.parts > 1 else 0,
        }

    def kernel(self) -> Kernel:
        """All channels of a row, then the next row."""
        rows, requant = self.rows, self.rows.lanes.requant
        long = "_long" if rows.together == LONG_ROUND else ""
        parts = "IN_PARTS" if self.parts > 1 else "AS_A_WHOLE"
        kind = f"lane_row_{self.bits}_bits{long}{'_parts' if self.parts > 1 else ''}"
        macro = ("_SINGLE" if self._by_one else "") + long.upper()
        function = struct_call(
            f"fully_connected_{self.bits}_bits{long}_{rows.rows}x{rows.inputs}_{rows.outputs}",
            "tc_lane_row_packed_s8",
            "tc_lane_row_packed.h",
            PARAMETERS,
            (Struct("tc_lane_row_packed_shape", self.shape),),
            f"Fully connected layer by the byte-lane product, 8 channels and unpacked weights of {self.bits} bits in "
            "registers.",
            (*names_of(PARAMETERS), requant.name(kind)),
            (requant.define(f"TC_LANE_ROW_PACKED{macro}", kind, self.bits, parts),),
        )
        return Kernel(
            f"fully_connected_{self.bits}_bits{long}",
            function,
            (self.weights,),
            scratch_bytes=self.scratch_bytes,
            instructions=self.work.instructions,
            cycles=self.work.cycles_on(rows.core),
            code_bytes=self.code_bytes,
            sweeps=Sweeps(rows.rows, between=self.scratch_bytes),
            overlap={0: safe_distance(row_steps(rows.rows, rows.inputs, rows.outputs, rows.outputs))},
            notes={
                "requantisation": rows.lanes.plan.form,
                "weights": f"{self.bits} bits each, unpacked in registers",
            },
            requant=rows.lanes.plan.shape_in_code,
        )


def _short(site: Site, core: Core, bits: int) -> Kernel | None:
    layer = PackedRows.of(site, core, bits, SHORT_ROUND)
    return None if layer is None else layer.kernel()


def _long(site: Site, core: Core, bits: int) -> Kernel | None:
    """With a longer loop, where that saves an instruction for every two bytes that it has more."""
    short, long = (PackedRows.of(site, core, bits, together) for together in (SHORT_ROUND, LONG_ROUND))
    if short is None or long is None:
        return None
    saved, more = short.work.instructions - long.work.instructions, long.code_bytes - short.code_bytes
    return long.kernel() if 2 * saved >= more else None


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_4_bits(site: Site, core: Core) -> Kernel | None:
    """1 row x 8 channels in registers; the whole row is expanded first."""
    return _short(site, core, 4)


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_4_bits_long(site: Site, core: Core) -> Kernel | None:
    """The same with a longer loop."""
    return _long(site, core, 4)


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_2_bits(site: Site, core: Core) -> Kernel | None:
    """1 row x 8 channels in registers, weights of 2 bits."""
    return _short(site, core, 2)


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_2_bits_long(site: Site, core: Core) -> Kernel | None:
    """The same with a longer loop."""
    return _long(site, core, 2)
