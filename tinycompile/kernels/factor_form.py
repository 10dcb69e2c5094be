"""Operators on two int8 operands as a product of one with a factor that the other decides, or as a square.

Found and checked at compile time over all pairs of operands, as in `integer_forms.py`, but with a number for each value
of an operand, which leaves more room: for each divisor there is an interval of factors that give the right quotients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.kernels.integer_forms import INT32_LIMIT, SLOPES, start_of
from tinycompile.ops.div import Div
from tinycompile.ops.squared_difference import SquaredDifference

PLACES = 22
"""TC_DIV_PLACES: so many bits to the left a distance of int8 values fits into 32 bits, with a bit to spare."""

_VALUES = np.arange(-128, 128, dtype=np.int8)
_MOST_RIGHT, _LEAST_RIGHT = 20, 8
_UNBOUNDED = 2**62


@dataclass(frozen=True, eq=False)
class FactorForm:
    """saturate((offset + round((a - a_zero_point) * 2^PLACES * factors[b] / 2^32)) >> right), then the clamp.

    Attributes:
        factors: int64[256], by the value of b from -128 on.
    """

    factors: Array
    offset: int
    right: int


@dataclass(frozen=True, eq=False)
class SquareForm:
    """saturate((offset + round((first[a] - second[b])^2 / 2^32)) >> right), then the clamp.

    Attributes:
        first, second: int64[256], by the value from -128 on.
    """

    first: Array
    second: Array
    offset: int
    right: int


def quotient_form(op: Div, sig: Signature) -> FactorForm | None:
    """A division's, equal for all 65,536 pairs of operands, if there is one."""
    (results,) = op.evaluate(sig, (_VALUES[:, None], _VALUES[None, :]))
    x = (_VALUES.astype(np.int64) - sig.inputs[0].zero_point) << PLACES
    truth, zero_point = results.astype(np.int64), sig.output.zero_point
    for right in range(_MOST_RIGHT, _LEAST_RIGHT, -1):
        offset = (zero_point << right) + (1 << (right - 1))
        factors = _factors(x, truth, op.clamp, offset, right)
        if factors is not None:
            return FactorForm(factors, offset, right)
    return None


def _factors(x: Array, truth: Array, clamp: tuple[int, int], offset: int, right: int) -> Array | None:
    """The middle of the factors that give the results of each column; None if a column has none."""
    steepest = np.abs(x) <= np.sort(np.abs(x))[2]  # lines through 0 meet their limits there: nearly always decides
    if _intervals(x[steepest], truth[steepest], clamp, offset, right) is None:
        return None
    bounds = _intervals(x, truth, clamp, offset, right)
    return None if bounds is None else (bounds[0] + bounds[1]) >> 1


def _intervals(x: Array, truth: Array, clamp: tuple[int, int], offset: int, right: int) -> tuple[Array, Array] | None:
    """Smallest and largest factor of each column, both of 32 bits; None if a column has none."""
    low, high = clamp
    at_least = np.where(truth > low, ((truth << right) - offset) << 32, -_UNBOUNDED) - 2**31
    at_most = np.where(truth < high, ((truth + 1 << right) - offset) << 32, _UNBOUNDED) - 2**31 - 1
    if np.any(at_least[x == 0] > 0) or np.any(at_most[x == 0] < 0):
        return None
    size, negative, counts = np.maximum(np.abs(x), 1)[:, None], (x < 0)[:, None], (x != 0)[:, None]
    # factor * x lies in [at_least, at_most]: for a negative x, factor * -x in [-at_most, -at_least].
    smallest = np.where(counts, -(np.where(negative, at_most, -at_least) // size), -INT32_LIMIT)
    largest = np.where(counts, np.where(negative, -at_least, at_most) // size, INT32_LIMIT - 1)
    lowest, highest = np.maximum(smallest.max(axis=0), -INT32_LIMIT), np.minimum(largest.min(axis=0), INT32_LIMIT - 1)
    return None if np.any(lowest > highest) else (lowest, highest)


def square_form(op: SquaredDifference, sig: Signature) -> SquareForm | None:
    """A squared difference's, equal for all 65,536 pairs of operands, if there is one."""
    a, b = (
        op.aligned(sig, index, _VALUES.astype(np.int64) - t.zero_point).astype(np.int64)
        for index, t in enumerate(sig.inputs)
    )
    (results,) = op.evaluate(sig, (_VALUES[:, None], _VALUES[None, :]))
    truth, rule = results.astype(np.int64), op.requant(sig)
    real = float(rule.multiplier[0]) * 2.0 ** (float(rule.shift[0]) - 31)
    largest = max(float(np.abs(a[:, None] - b).max()), 1.0)
    right = min(_MOST_RIGHT, 29 - int(np.ceil(np.log2(largest * largest * real + 1))))
    if right < _LEAST_RIGHT:
        return None
    for slope in SLOPES:
        unit = np.sqrt(real * slope * 2.0 ** (32 + right))
        first, second = (np.rint(x * unit).astype(np.int64) for x in (a, b))
        difference = first[:, None] - second
        square = (difference * difference + 2**31) >> 32
        start = start_of(square, truth, op.clamp, right)
        if start is not None and np.abs(difference).max() < INT32_LIMIT:
            return SquareForm(first, second, start, right)
    return None
