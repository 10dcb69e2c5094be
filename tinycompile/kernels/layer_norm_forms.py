"""Integers with which layer normalisation computes products and squares, proved over all operands that there are.

TFLite rounds a product first to as many bits below the binary point as its multiplier is shifted by, then to an
integer, halves away from zero. So a result that isn't negative is that of one rounding whose halves begin earlier, by
half of the lowest of those bits, and a negative one that of a rounding whose halves begin later. Where the sign is
known, one multiplication of numbers with more bits than that can tell apart is enough, with a start that depends on the
sign: the bounds within which its factor gives the definition's result for every operand are computed, and what is
chosen between them is compared once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.kernels.generic_c import Fields
from tinycompile.kernels.int8_pairs import MOST_RIGHT
from tinycompile.kernels.integer_forms import start_of
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops.squared_difference import SquaredDifference

ALIGNED_STEP = 64
"""TC_NORM_STEP: of the operand that has the larger scale, where both have a common one."""

NO_LINE: Fields = {"factor": 0, "start": 0, "less": 0, "right": 0}
NO_SQUARE: Fields = {
    "mean": {"zero_point": 0, "multiplier": 0, "right": 0},
    "x_zero_point": 0,
    "unit": 0,
    "start": 0,
    "right": 0,
}

_VALUES = np.arange(-128, 128, dtype=np.int64)
_LOW, _HIGH = -128, 127
_INT32 = 2**31
_PLACES = 22
"""TC_NORM_PLACES: a distance of int8 values fits into 32 bits when it is shifted by so many, with a bit to spare."""
_MOST_RIGHT = 16
"""Results of this shift are upper halves of words, of which two are saturated together."""
_SQUARE_RIGHT = 20
_FACTOR_BITS = 10
"""A slope is a row's value times 2^-10 of the factor."""


@dataclass(frozen=True)
class RowLine:
    """saturate((((element * slope) >> 16) + start) >> right), slope = round(value of the row * 2^22 * factor / 2^32).

    Attributes:
        start: where the row's value isn't negative.
        less: what it is less where that is negative.
    """

    factor: int
    start: int
    less: int
    right: int

    @staticmethod
    def of(elements: Array, row_values: Array, rule: TfliteRequant) -> RowLine | None:
        """Of all products of an element, none of which is negative, and a value of a row; None if there is none.

        Args:
            elements, row_values: without zero points, int64.
        """
        fraction = _fraction(rule)
        if fraction is None or elements.min() < 0:
            return None
        products = row_values[:, None] * elements
        truth, less_by = _results(rule, products), (row_values < 0)[:, None]
        most_value, most = int(np.abs(row_values).max(initial=1)), int(np.abs(products).max(initial=1))
        for right in range(_MOST_RIGHT, fraction, -1):
            start, less = _start(rule, right, fraction), 1 << (right - fraction)
            slope = float(rule.multiplier[0]) * 2.0 ** (right - fraction - 31 + 16)
            if max(slope * most_value, slope * 2**_FACTOR_BITS, most * slope / 2**16 + abs(start)) >= 0.99 * _INT32:
                continue
            bounds = _bounds(products, truth, start - less * less_by, right)
            if bounds is None:
                return None
            line = RowLine(round(sum(bounds) / 2 * 2 ** (16 + _FACTOR_BITS)), start, less, right)
            return line if np.array_equal(line._apply(elements, row_values), truth) else None
        return None

    def _apply(self, elements: Array, row_values: Array) -> Array:
        slopes = ((row_values << _PLACES) * self.factor + 2**31) >> 32
        starts = self.start - self.less * (row_values < 0)
        found = (((slopes[:, None] * elements) >> 16) + starts[:, None]) >> self.right
        return np.clip(found, _LOW, _HIGH)

    @property
    def fields(self) -> Fields:
        """Members of a `tc_norm_line`."""
        return {"factor": self.factor, "start": self.start, "less": self.less, "right": self.right}

    @property
    def raised(self) -> Fields:
        """The same of results + 128, saturated to uint8."""
        return {**self.fields, "start": self.start + (128 << self.right)}


def square_by_unit(op: SquaredDifference, sig: Signature, x: int) -> Fields | None:
    """Members of a `tc_norm_square`: saturate((((element * unit - centre)^2 >> 32) + start) >> right).

    Args:
        x: which operand is x. The other one is the mean, whose scale isn't above that of x.
    """
    aligned, mean = (op.aligned(sig, i, _VALUES - sig.inputs[i].zero_point).astype(np.int64) for i in (x, 1 - x))
    rule, (multiplier, shift) = op.requant(sig), op.factor(sig, sig.inputs[1 - x])
    fraction = _fraction(rule)
    if fraction is None or np.any(np.diff(aligned) != ALIGNED_STEP) or -shift > MOST_RIGHT:
        return None
    difference = aligned - mean[:, None]
    squares = difference * difference
    truth, most = _results(rule, squares), int(np.abs(difference).max())
    for right in (_MOST_RIGHT, *range(_SQUARE_RIGHT, 0, -1)):
        bounds = _bounds(squares, truth, _start(rule, right, fraction), right)
        if bounds is None:
            return None
        best = sqrt(sum(bounds) / 2) * 2**16 * ALIGNED_STEP
        for unit in (floor(best), ceil(best)):
            centres = ((mean * unit + ALIGNED_STEP // 2) // ALIGNED_STEP) + sig.inputs[x].zero_point * unit
            number = _VALUES * unit - centres[:, None]
            if max(most * (unit / ALIGNED_STEP + 1), np.abs(centres).max()) >= _INT32:
                continue
            start = start_of((number * number) >> 32, truth, (_LOW, _HIGH), right)
            if start is not None:
                zero_point = sig.inputs[1 - x].zero_point
                mean_fields = {"zero_point": zero_point, "multiplier": multiplier, "right": -shift}
                fields = {"x_zero_point": sig.inputs[x].zero_point, "unit": unit, "start": start, "right": right}
                return {"mean": mean_fields, **fields}
    return None


def _results(rule: TfliteRequant, accumulators: Array) -> Array:
    """int64, of the definition."""
    return rule.apply(accumulators[..., None])[..., 0].astype(np.int64)


def _fraction(rule: TfliteRequant) -> int | None:
    """Bits below the binary point after the first rounding; None where it isn't followed by another one."""
    fraction = -int(rule.shift[0])
    return None if rule.single_rounding or fraction < 1 else fraction


def _start(rule: TfliteRequant, right: int, fraction: int) -> int:
    """Of results that aren't negative."""
    return (rule.zero_point << right) + (1 << (right - 1)) + ((1 << right) >> (fraction + 1))


def _bounds(values: Array, truth: Array, start: Array | int, right: int) -> tuple[float, float] | None:
    """Between which of factors saturate((value * factor + start) >> right) is the truth; None where there are none."""
    least = np.where(truth > _LOW, (truth << right) - start, -np.inf)
    less_than = np.where(truth < _HIGH, ((truth + 1) << right) - start, np.inf)
    zero = values == 0
    if np.any(zero & ((least > 0) | (less_than <= 0))):
        return None
    divisor = np.where(zero, 1, values)
    ends = least / divisor, less_than / divisor
    low = np.where(zero, -np.inf, np.minimum(*ends)).max()
    high = np.where(zero, np.inf, np.maximum(*ends)).min()
    return (float(low), float(high)) if 0 < low < high < np.inf else None
