"""Requantisation of 64-bit sums to 16 bits as ONNX means it: the real value of a formula, rounded once, halves to even.

    y = saturate(round_half_even(sum * slope + offset) + zero_point)

Thresholds, as numerics/step_requant.py has them for 8 bits, would be 65,535 for each channel. Here the slope is an
integer of 62 bits, and of its product with the sum, shifted as far left as it fits, the high 64 bits are taken. So what
is rounded is off the real value by some 2^-40 of an output, where a float64 would be by 2^-37.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, log2

import numpy as np

from tinycompile.numerics.fixed_point import Int64Array

_BITS = 62
"""Of a shifted sum, a slope and what is rounded: high products of these, and sums of two, fit in 64 bits."""
_SMALLEST_FRACTION = 16
"""Fewer bits behind the point than this would show in the results."""
_LOW_WORD = 0xFFFFFFFF


@dataclass(frozen=True, eq=False)
class RealRequant:
    """From sums to outputs.

    Attributes:
        slope: int64 (C,), not negative.
        offset: int64 (C,), in units of 2^-fraction outputs.
        left: by how much a sum is shifted.
        fraction: bits behind the point of (high 64 bits of (sum << left) * slope) + offset.
        low, high: the range of the outputs, zero point included.
    """

    slope: Int64Array
    offset: Int64Array
    left: int
    fraction: int
    zero_point: int
    low: int
    high: int

    @staticmethod
    def of(
        slope: Sequence[Fraction],
        offset: Sequence[Fraction],
        largest: Sequence[int],
        zero_point: int,
        clamp: tuple[int, int],
    ) -> RealRequant:
        """The rule of the module's formula.

        Args:
            slope, offset: per channel; slopes are positive.
            largest: bound of the sums' magnitudes, per channel.
            clamp: the range of the outputs.

        Raises:
            ValueError: the numbers leave 64 bits.
        """
        left = _BITS - max(1, *largest).bit_length()
        right = _BITS - 1 - floor(log2(max(slope)))
        reach = max(n * s + abs(o) for n, s, o in zip(largest, slope, offset, strict=True))
        fits = _BITS - 1 - max(0, floor(log2(reach)) + 1 if reach else 0)
        fraction = min(right + left - 64, fits)
        left = fraction + 64 - right
        if left < 0 or fraction < _SMALLEST_FRACTION:
            raise ValueError("the sums and their scales leave 64 bits")
        integers = np.array([round(s * 2**right) for s in slope], np.int64)
        return RealRequant(
            np.minimum(integers, 2**_BITS - 1),
            np.array([round(o * 2**fraction) for o in offset], np.int64),
            left,
            fraction,
            zero_point,
            *clamp,
        )

    @property
    def channels(self) -> int:
        return self.slope.size

    def apply(self, acc: Int64Array) -> Int64Array:
        """The outputs of sums (..., C), int64."""
        value = high_product(acc.astype(np.int64) << self.left, self.slope) + self.offset
        half = np.int64(1) << (self.fraction - 1)
        raised = value + half
        rounded = raised >> self.fraction
        tie = (raised & (2 * half - 1)) == 0
        even = rounded - np.where(tie, rounded & 1, 0)
        return np.clip(even + self.zero_point, self.low, self.high)


def high_product(a: Int64Array, b: Int64Array) -> Int64Array:
    """floor(a * b / 2^64) of int64 within +-2^62; `b` isn't negative."""
    a_high, a_low, b_high, b_low = a >> 32, a & _LOW_WORD, b >> 32, b & _LOW_WORD
    lowest = ((a_low.astype(np.uint64) * b_low.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
    middle = a_high * b_low + lowest
    carried = a_low * b_high + (middle & _LOW_WORD)
    return a_high * b_high + (middle >> 32) + (carried >> 32)
