"""Cheap integer forms of operators on int8, found and checked at compile time over everything that can occur.

A form is linear in its operands, with some bits below the binary point, and an arithmetic right shift rounds down. The
candidates differ from the real factors by tiny relative amounts: where the definition rounds halves away from zero, a
slope that is slightly too large does just that on both sides of zero. A candidate counts only if it gives the
definition's result for every operand (or on both sides of every threshold, which is the same for monotone functions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._sum import Sum
from tinycompile.ops.sub import Sub

INT32_LIMIT = 2**31
SUM_BITS = 20
"""TC_SUM_BITS."""

_NARROW_BITS = 22
"""An int8 result with so many bits below the binary point leaves two bits of room for its terms."""

_ALL = np.arange(-128, 128, dtype=np.int64)
SLOPES = (1.0, *(1 + sign * 2.0**-bits for bits in range(24, 9, -1) for sign in (1, -1)))


@dataclass(frozen=True)
class SumForm:
    """(start + ((256 a * first) >> 16) + ((256 b * second) >> 16)) >> SUM_BITS, then the clamp."""

    first: int
    second: int
    start: int


@dataclass(frozen=True)
class NarrowSumForm:
    """(a * first + b * second + start) >> shift in 32 bits, then the clamp."""

    first: int
    second: int
    start: int
    shift: int


@dataclass(frozen=True)
class ScaledForm:
    """(x * multiplier + start) >> shift in 32 bits, saturated to int8."""

    multiplier: int
    start: int
    shift: int


def sum_form(op: Sum, sig: Signature) -> SumForm | None:
    """The form of a sum or difference, equal for all 65,536 pairs of operands, if there is one."""
    sign = -1 if isinstance(op, Sub) else 1
    a, b = sig.inputs
    unit = 2.0 ** (SUM_BITS + 8) / sig.output.scale
    truth = _all_results(op, sig)
    for slope in SLOPES:
        first, second = round(a.scale * unit * slope), sign * round(b.scale * unit * slope)
        if max(abs(first), abs(second)) >= INT32_LIMIT:
            return None
        linear = ((256 * _ALL * first) >> 16)[:, None] + ((256 * _ALL * second) >> 16)
        start = start_of(linear, truth, op.clamp, SUM_BITS)
        if start is not None:
            return SumForm(first, second, start)
    return None


def narrow_sum_form(op: Sum, sig: Signature) -> NarrowSumForm | None:
    """The same without a wider product: with as many bits below the binary point as 32 bits leave room for."""
    sign = -1 if isinstance(op, Sub) else 1
    a, b = sig.inputs
    truth = _all_results(op, sig)
    for shift in range(_NARROW_BITS, _NARROW_BITS - 4, -1):
        unit = 2.0**shift / sig.output.scale
        if 128 * (a.scale + b.scale) * unit * max(SLOPES) >= INT32_LIMIT // 2:
            continue
        for slope in SLOPES:
            first, second = round(a.scale * unit * slope), sign * round(b.scale * unit * slope)
            start = start_of((_ALL * first)[:, None] + _ALL * second, truth, op.clamp, shift)
            if start is not None:
                return NarrowSumForm(first, second, start, shift)
    return None


def _all_results(op: Sum, sig: Signature) -> Array:
    """The definition's results, a along axis 0, b along axis 1."""
    values = _ALL.astype(np.int8)
    (results,) = op.evaluate(sig, (values[:, None], values[None, :]))
    return results.astype(np.int64)


def start_of(linear: Array, truth: Array, clamp: tuple[int, int], bits: int) -> int | None:
    """A constant with clamp((linear + constant) >> bits) == truth everywhere and no overflow of int32."""
    low, high = clamp
    at_least = np.where(truth > low, (truth << bits) - linear, -(2**62)).max()
    below = np.where(truth < high, ((truth + 1) << bits) - linear, 2**62).min()
    # Where every result is the same end of the clamp, one side is free.
    at_least = max(int(at_least), -INT32_LIMIT - int(linear.min()))
    below = min(int(below), INT32_LIMIT - int(linear.max()))
    start = (at_least + below - 1) // 2
    return start if at_least <= start < below and -INT32_LIMIT <= start < INT32_LIMIT else None


def scaled_form(function: Callable[[Array], Array], lowest: int, highest: int) -> ScaledForm | None:
    """The form of a function of an integer in [lowest, highest]; None where there is none.

    Args:
        function: int64 to int8 values; never decreases.
    """
    thresholds, steps = _thresholds(function, lowest, highest)
    if steps.size < 2 or thresholds[-1] == thresholds[0]:  # constant, or a jump
        return None
    first, last = int(steps[0]) - 1, int(steps[-1])
    slope = float(steps[-1] - steps[0]) / float(thresholds[-1] - thresholds[0])
    for shift in range(24, 7, -1):
        for multiplier in _near(slope * 2**shift):
            if not 0 < multiplier * max(-lowest, highest) < INT32_LIMIT:
                continue
            scaled = thresholds * multiplier
            at_least = int(((steps << shift) - scaled).max())
            below = int(((steps << shift) - (scaled - multiplier)).min())
            at_least = max(at_least, -INT32_LIMIT - lowest * multiplier)
            below = min(below, INT32_LIMIT - highest * multiplier)
            # The ends, where there are no further thresholds: beyond int8 the saturation helps.
            if first > -128:
                at_least = max(at_least, (first << shift) - lowest * multiplier)
            if last < 127:
                below = min(below, ((last + 1) << shift) - highest * multiplier)
            start = (at_least + below - 1) // 2
            if at_least <= start < below and abs(start) < INT32_LIMIT:
                return ScaledForm(multiplier, start, shift)
    return None


def _near(value: float) -> Iterator[int]:
    nearest = round(value)
    yield nearest
    for distance in range(1, 1 + min(64, nearest // 2048)):
        yield nearest + distance
        yield nearest - distance


def _thresholds(function: Callable[[Array], Array], lowest: int, highest: int) -> tuple[Array, Array]:
    """(smallest x with function(x) >= k, k) for every k that the function reaches but at `lowest`; by bisection."""
    first, last = (int(reached) for reached in function(np.array([lowest, highest])))
    steps = np.arange(first + 1, last + 1)
    below, above = np.full(steps.shape, lowest), np.full(steps.shape, highest)
    while np.any(above - below > 1):
        middle = (below + above) >> 1
        reached = function(middle) >= steps
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    return above, steps
