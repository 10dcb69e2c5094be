"""Weights of 4 and 2 bits for the blocks of `mve.py` (`tc_mve_packed.h`): 16 bytes have 16 taps of 2 or 4 channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.vector_requant import COMMON_SHIFT, VectorRequant, has_room

BYTE = 8


@dataclass(frozen=True)
class Packing:
    """How weights share bytes.

    Attributes:
        bits: of a weight, 4 or 2.
        folded: a byte is 16 times the second channel's weight plus the first one's, as a number.
    """

    bits: int
    folded: bool

    @staticmethod
    def of(layer: LinearLayer, bits: int) -> Packing | None:
        """The cheapest; None where weights have more bits."""
        if not layer.fits_bits(bits):
            return None
        if bits != 4:
            return Packing(bits, False)
        first, second = (np.pad(layer.matrix, ((0, layer.channels % 2), (0, 0)))[i::2] for i in (0, 1))
        return Packing(bits, bool(np.all(16 * second + first >= -128)))

    @property
    def way(self) -> str:
        """As the macros call it."""
        return f"{'FOLDED' if self.folded else 'SPLIT'}_{self.bits}"

    @property
    def taken(self) -> int:
        """Bits by which sums are shifted up."""
        return BYTE - self.bits

    @property
    def together(self) -> int:
        """Channels that share a byte."""
        return BYTE // self.bits

    def requant(self, layer: LinearLayer) -> VectorRequant | None:
        """Of such sums, from which it starts; None where no form of it is exact."""
        if not layer.fits(self.taken):
            return None
        for form in ("smmla", "smmla_signed"):
            for shift in (COMMON_SHIFT[form], None):
                plan = layer.solve(self.taken, forms=(form,), shift=shift)
                if plan.form == form and has_room(layer.acc_raw_range[0], plan):
                    return VectorRequant(plan, taken=self.taken)
        return None

    def starts(self, start: Array) -> Array:
        """What sums of 4 channels at a time begin with, (blocks, 4), from the starts of the requantisation."""
        if not self.folded:
            return start
        adapted = start.astype(np.int64)
        adapted[:, 1::2] += adapted[:, 0::2] >> 4  # which the first channel's sum takes with it
        return adapted.astype(np.int32)

    def words(self, taps: Array) -> Array:
        """int32 (blocks, words) of weights (blocks, rows, groups, 4 channels, 16)."""
        shared = taps.reshape(*taps.shape[:3], 4 // self.together, self.together, taps.shape[4]).astype(np.int64)
        if self.folded:
            both = 16 * shared[..., 1, :] + shared[..., 0, :]
        else:
            shifts = self.bits * np.arange(self.together)[:, None]
            both = ((shared & (1 << self.bits) - 1) << shifts).sum(axis=4)
        return np.ascontiguousarray((both & 0xFF).astype(np.uint8)).reshape(len(taps), -1).view(np.int32)

    @property
    def group_words(self) -> int:
        """int32 of 16 taps and 4 channels."""
        return 16 * self.bits // BYTE

    @property
    def pair_instructions(self) -> int:
        """More than with bytes, of 16 taps, 4 channels and 2 pixels."""
        return 0 if self.folded else {4: 2, 2: 3}[self.bits]

    @property
    def row_instructions(self) -> int:
        """Likewise of 8 channels and a pixel."""
        return 0 if self.folded else {4: 4, 2: 6}[self.bits]

    @property
    def block_instructions(self) -> int:
        """Likewise once for such a block."""
        return 4 if self.folded else 1
