"""Requantisation by two 32-bit products, for cores without a long multiplication.

The machine sequence (`runtime/kernels/tc_split_requant.h`), per output, with the multiplier's two parts
m = m_high * 2^B + m_low, 0 <= m_low < 2^B:

    a = clamp(acc - centre, low, high)            where y moves, and nothing beyond: this is the output's clamp, too
    t = a * m_high + (a * m_low >> B) + offset    modulo 2^32; minus `step` for negative a in the signed form
    y = t >> 24

Since floor(floor(x / 2^B) + n) is floor(x / 2^B + n), t is floor((a m + offset 2^B) / 2^B): a straight line with a
64-bit product, of which only a * m_low must fit into 32 bits. t itself fits, since its highest byte is y.

TFLite's double rounding sends halves away from zero: its thresholds up to the zero point lie one rounding unit off the
line of the others, which `step` makes up for; a's sign is then that of acc, and `centre` 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.numerics.fixed_point import INT32_MAX, INT32_MIN, Int64Array, IntegerArray, wrap_int32
from tinycompile.numerics.requant import BoolArray, Requant, has_one_output
from tinycompile.numerics.requant_plan import first_difference
from tinycompile.numerics.requant_solver import fits

OUTPUT_SHIFT = 24
"""An int8 output takes the highest byte of t."""

_USUAL_BITS = 12
"""B that is tried first, so that layers share code; then the largest."""

_RADII = (0, 4, 32)
"""How far from the nominal multiplier to look, as long as channels are left."""

_BELOW, _ABOVE = -(2**62), 2**62


@dataclass(frozen=True, eq=False)
class SplitLine:
    """Constants per channel, int64 of shape (C,); the symbols are those of the module.

    Attributes:
        low_bits: B, of the whole layer.
        signed: whether some channel has a step, or a lowest sum that isn't minus its highest one.
    """

    low_bits: int
    signed: bool
    centre: Int64Array
    low: Int64Array
    high: Int64Array
    multiplier: Int64Array
    offset: Int64Array
    step: Int64Array

    def apply(self, acc: IntegerArray) -> Int64Array:
        """What the machine makes of accumulators of shape (..., C)."""
        return wrap_int32(self._t(acc)).astype(np.int64) >> OUTPUT_SHIFT

    def _t(self, acc: IntegerArray) -> Int64Array:
        """Before it wraps."""
        a = np.clip(acc.astype(np.int64) - self.centre, self.low, self.high)
        m_high, m_low = self.multiplier >> self.low_bits, self.multiplier & ((1 << self.low_bits) - 1)
        return a * m_high + (a * m_low >> self.low_bits) + self.offset - np.where(a < 0, self.step, 0)

    def overflows(self) -> BoolArray:
        """Per channel, whether a * m_low or t leaves int32 for some a, or t isn't monotone where a changes its sign."""
        ends = np.stack([self.low, self.high])
        product = ends * (self.multiplier & ((1 << self.low_bits) - 1))
        t = self._t(ends + self.centre)
        wrong = (product < INT32_MIN) | (product > INT32_MAX) | (t < INT32_MIN) | (t > INT32_MAX)
        return np.any(wrong, axis=0) | (self.multiplier < 0) | (self.step < 0) | (self.low > self.high)


def prove(line: SplitLine, rule: Requant, acc_min: Int64Array, acc_max: Int64Array) -> str | None:
    """None if `line` is `rule` for every accumulator in [acc_min, acc_max], else the reason why not.

    The line is monotone: nothing overflows, neither multiplier nor step is negative, and clamp and shift are monotone.
    The rest is the argument of `requant_plan.prove`.
    """
    overflow = line.overflows()
    if np.any(overflow):
        return f"channel {np.argmax(overflow)}: int32 overflow, or not monotone"
    return first_difference(line.apply, rule, acc_min, acc_max)


def split_line(rule: Requant, acc_min: Int64Array, acc_max: Int64Array) -> SplitLine | None:
    """The line for accumulators in [acc_min, acc_max], proved; with a step if it takes one; None if there is none.

    Raises:
        ArithmeticError: the proof fails, a defect of the search.
    """
    if rule.low < -128 or rule.high > 127 or not np.all(fits(rule, acc_min, acc_max, 0)):
        return None
    for signed in (False, True):
        points = _Points.of(rule, acc_min, acc_max, signed)
        largest = points.largest_bits()
        for low_bits in dict.fromkeys((min(_USUAL_BITS, largest), largest)):
            line = points.line(low_bits) if low_bits > 0 else None
            if line is not None:
                reason = prove(line, rule, acc_min, acc_max)
                if reason is not None:
                    raise ArithmeticError(f"the search for a split multiplier is wrong: {reason}")
                return line
    return None


@dataclass(frozen=True, eq=False)
class _Points:
    """What the line has to satisfy: at a >= `at` the output is >= `needed`, at a <= `before` it is < `excess`.

    Arrays are (C, K + 1), a column for each threshold and one for the zone's ends, which those out of reach repeat.
    """

    at: Int64Array
    needed: Int64Array
    before: Int64Array
    excess: Int64Array
    scale: Int64Array | np.ndarray
    centre: Int64Array
    low: Int64Array
    high: Int64Array
    constant: BoolArray
    signed: bool

    @staticmethod
    def of(rule: Requant, acc_min: Int64Array, acc_max: Int64Array, signed: bool) -> _Points:
        constant = has_one_output(rule, acc_min, acc_max)
        steps = np.arange(rule.low + 1, rule.high + 1)
        thresholds = rule.thresholds()
        inside = (thresholds > acc_min[:, None]) & (thresholds <= acc_max[:, None]) & ~constant[:, None]
        lowest, highest = (rule.apply(acc).astype(np.int64)[:, None] for acc in (acc_min, acc_max))
        first = np.where(constant, 0, np.where(inside, thresholds, _ABOVE).min(axis=1, initial=_ABOVE) - 1)
        last = np.where(constant, 0, np.where(inside, thresholds, _BELOW).max(axis=1, initial=_BELOW))
        if signed:
            centre, low, high = np.zeros_like(first), first, last
        else:
            high = (last - first + 1) // 2
            centre, low = last - high, -high
        ends = np.stack([low, high])
        at = np.where(inside, thresholds - centre[:, None], ends[0][:, None])
        before = np.where(inside, thresholds - 1 - centre[:, None], ends[1][:, None])
        needed, excess = np.where(inside, steps, lowest), np.where(inside, steps, highest + 1)
        at, before = np.column_stack([at, ends[0]]), np.column_stack([before, ends[1]])
        needed, excess = np.column_stack([needed, lowest]), np.column_stack([excess, highest + 1])
        scale = rule.real_scale()
        return _Points(at, needed, before, excess, scale, centre, low, high, constant, signed)

    def largest_bits(self) -> int:
        """B with which all products of a and the lower part fit into int32, and so do the multipliers."""
        live = ~self.constant
        if not np.any(live):
            return _USUAL_BITS
        reach = int(np.maximum(-self.low, self.high)[live].max())
        steepest = float(self.scale[live].max())
        return min(31 - max(reach - 1, 1).bit_length(), int(np.floor(30.9 - OUTPUT_SHIFT - np.log2(steepest))), 24)

    def line(self, low_bits: int) -> SplitLine | None:
        """With these B; None if some channel has none."""
        empty = np.zeros(self.low.shape, np.int64)
        middle = (self.needed[:, -1] << OUTPUT_SHIFT) + (1 << (OUTPUT_SHIFT - 1))
        multiplier, step = empty.copy(), empty.copy()
        offset = np.where(self.constant, wrap_int32(middle), 0).astype(np.int64)
        nominal = np.rint(self.scale * 2.0 ** (OUTPUT_SHIFT + low_bits)).astype(np.int64)
        left = np.flatnonzero(~self.constant)
        for radius in _RADII:
            for delta in range(-radius, radius + 1):
                if left.size == 0:
                    break
                m = np.maximum(nominal[left] + delta, 0)
                found, offsets, steps = self._offsets(left, m, low_bits)
                solved = left[found]
                multiplier[solved], offset[solved], step[solved] = m[found], offsets[found], steps[found]
                left = left[~found]
        if left.size:
            return None
        signed = bool(np.any(step) or np.any(self.low != -self.high))  # else the code takes -high for low
        return SplitLine(low_bits, signed, self.centre, self.low, self.high, multiplier, offset, step)

    def _offsets(self, rows: Int64Array, m: Int64Array, low_bits: int) -> tuple[BoolArray, Int64Array, Int64Array]:
        """Per row, whether there are an offset and a step, and these."""
        shift, m = OUTPUT_SHIFT + low_bits, m[:, None]
        at, before = self.at[rows], self.before[rows]
        least = (self.needed[rows] << shift) - at * m
        most = (self.excess[rows] << shift) - 1 - before * m
        if not self.signed:
            found, offset = _between(least.max(axis=1), most.min(axis=1), low_bits)
            return found, offset, np.zeros_like(offset)
        positive, offset = _between(
            np.where(at >= 0, least, _BELOW).max(axis=1), np.where(before >= 0, most, _ABOVE).min(axis=1), low_bits
        )
        negative, lower = _between(
            np.where(at < 0, least, _BELOW).max(axis=1), np.where(before < 0, most, _ABOVE).min(axis=1), low_bits
        )
        one_sided = (self.low[rows] >= 0) | (self.high[rows] < 0)
        offset = np.where(self.high[rows] < 0, lower, offset)
        step = np.where(one_sided, 0, offset - lower)
        return positive & negative & (step >= 0) & (step <= INT32_MAX), offset, step


def _between(least: Int64Array, most: Int64Array, low_bits: int) -> tuple[BoolArray, Int64Array]:
    """Whether a multiple of 2^low_bits is in [least, most], and which one, divided by that: one near the middle.

    A side without bounds has `_BELOW` or `_ABOVE`.
    """
    lowest = -(-least >> low_bits)
    highest = most >> low_bits
    bounded = (least > _BELOW) & (most < _ABOVE)
    middle = np.where(bounded, (lowest + highest) >> 1, np.where(least > _BELOW, lowest, highest))
    return lowest <= highest, middle
